"""A store in a PostgreSQL database, which belongs to one node.

Numbers that grow (changes, events, positions of the log) are the last one and one: so writers take turns, by
an advisory lock that each transaction takes first. A node that serves writes over one connection, which holds
another such lock for as long as it lives: when it is lost, nothing is written before the lock is held again.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from mandorla_protocol.errors import Code, NodeError

from ..schema import APPEND_ONLY, METADATA

_TURN: Final = int.from_bytes(b"md-write")
"""The lock of the transaction that writes."""

_NODE: Final = int.from_bytes(b"md-serve")
"""The lock of the node that serves."""

_PATIENCE_S: Final = 60
_HANDOVER_S: Final = 2
"""How long a node waits for the one before it: a server ends a connection a moment after its client."""

_SCRUB_PATIENCE_MS: Final = 200

_REFUSE: Final = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$
"""


class Postgres:
    """A database; readers see a snapshot each, and writers take turns."""

    def __init__(self, url: str, alone: bool) -> None:
        """Say how to reach a database. `alone` holds it for this node: no other can.

        Raises NodeError(BAD_CONFIG) for what is no such URL, and where the driver is missing.
        """
        where = _parsed(url)
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ImportError:
            what = "PostgreSQL needs the extra `postgres`: pip install 'mandorla[postgres]'"
            raise NodeError(Code.BAD_CONFIG, what) from None
        self.errors: tuple[type[Exception], ...] = (psycopg.Error,)
        # Parameters are indicators, tags and keys: SQLAlchemy must not print them into errors.
        self.engine: Engine = create_engine(where, hide_parameters=True, pool_size=8, pool_pre_ping=True)
        self.reader: Engine = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        # A transaction that waits for its turn must see what was written before, so its statements take a
        # snapshot each; while it has its turn, nothing changes between them.
        self.writer: Engine = create_engine(
            where,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_size=1,
            max_overflow=0,
            pool_timeout=_PATIENCE_S,
            pool_pre_ping=True,
        )
        event.listen(self.writer, "connect", _configure_writer)
        if alone:
            event.listen(self.writer, "connect", _claim)
        event.listen(self.writer, "begin", _take_turn)
        self._closed = False
        for engine in (self.engine, self.writer):
            event.listen(engine, "do_connect", self._refuse_once_closed)
            event.listen(engine, "checkin", self._close_late)

    def prepare(self) -> None:
        """Need nothing: the database is there, or it is refused when it is reached."""

    def create(self, connection: Connection) -> None:
        """Create the newest schema in an empty database."""
        METADATA.create_all(connection)
        for statement in guards():
            connection.exec_driver_sql(statement)

    def write_nothing(self, connection: Connection) -> None:
        """Write a message into the write-ahead log, which nobody reads: the commit waits for the disk."""
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'mandorla', '')")

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the database; the server's write-ahead log is not its own."""
        with self.engine.connect() as connection:
            size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        return int(size), 0

    def scrub(self) -> bool:
        """Write the table of seeds anew, so that the old file and what was destroyed in it are gone.

        What an open snapshot may still see is kept until the next time. Write-ahead logs, their archives and
        backups are the database administrator's; the seeds in them are sealed under the node's key.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"SET lock_timeout = {_SCRUB_PATIENCE_MS}")
            try:
                connection.exec_driver_sql("VACUUM (FULL) held_epochs")
            except OperationalError:
                return False
            finally:
                connection.exec_driver_sql("RESET lock_timeout")
        return True

    def close(self) -> None:
        """Close every connection; one that a thread still uses, when it is done."""
        self._closed = True
        self.engine.dispose()
        self.writer.dispose()

    def _refuse_once_closed(self, *_: object) -> None:
        # It would hold the node's lock beyond the node's end.
        if self._closed:
            raise NodeError(Code.STORE_FAILED, "the store was closed")

    def _close_late(self, connection: DBAPIConnection | None, _record: ConnectionPoolEntry) -> None:
        if self._closed and connection is not None:
            connection.close()


def guards() -> list[str]:
    """Return the statements after which the database refuses to change what is append-only."""
    triggers = (
        f"CREATE TRIGGER {table.name}_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        "EXECUTE FUNCTION refuse_change()"
        for table in APPEND_ONLY
    )
    return [_REFUSE, *triggers]


def _parsed(url: str) -> URL:
    try:
        where = make_url(url)
    except ArgumentError:
        where = URL.create("")
    if where.drivername not in ("postgresql", "postgresql+psycopg"):
        # Not what was given, which may hold a password.
        raise NodeError(Code.BAD_CONFIG, "[store] url must be postgresql://..., or empty for SQLite")
    return where.set(drivername="postgresql+psycopg")


def _configure_writer(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # A charge must survive a power cut before its answer leaves. What waits for more than that stays.
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.execute(f"SET lock_timeout = '{_PATIENCE_S}s'")
    cursor.close()
    connection.commit()


def _claim(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    from psycopg.errors import LockNotAvailable  # noqa: PLC0415 - an extra

    cursor = connection.cursor()
    cursor.execute(f"SET LOCAL lock_timeout = '{_HANDOVER_S}s'")
    try:
        cursor.execute(f"SELECT pg_advisory_lock({_NODE})")
    except LockNotAvailable:
        connection.close()
        raise NodeError(Code.STORE_FAILED, "another node works on this database") from None
    connection.commit()


def _take_turn(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")
