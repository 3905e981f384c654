"""A store in a PostgreSQL database, which belongs to one node.

A new number (of a change, an event or a log position) is the highest one plus one. So writers must take
turns: each transaction first takes an advisory lock. A serving node writes over one connection, which also
holds the node's advisory lock. If the connection is lost, no write succeeds until a new one holds the lock
again.
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

_WRITE_LOCK: Final = int.from_bytes(b"md-write")
"""The advisory lock of the transaction that writes."""

_NODE_LOCK: Final = int.from_bytes(b"md-serve")
"""The advisory lock of the serving node."""

_TIMEOUT_S: Final = 60
_HANDOVER_S: Final = 2
"""The wait for the previous node's lock: a server ends a session a moment after its client is gone."""

_SCRUB_TIMEOUT_MS: Final = 200

_REFUSE: Final = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$
"""


class Postgres:
    """A PostgreSQL database: each reader sees a snapshot, and writers take turns."""

    def __init__(self, url: str, exclusive: bool) -> None:
        """Prepare connections to a database. `exclusive` keeps other nodes out of it.

        Raises NodeError(BAD_CONFIG) if the URL is not one of PostgreSQL, or the driver is missing.
        """
        address = _parsed(url)
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ImportError:
            detail = "PostgreSQL needs the extra `postgres`: pip install 'mandorla[postgres]'"
            raise NodeError(Code.BAD_CONFIG, detail) from None
        self.errors: tuple[type[Exception], ...] = (psycopg.Error,)
        # Parameters are indicators, tags and keys: SQLAlchemy must not print them into errors.
        self.engine: Engine = create_engine(address, hide_parameters=True, pool_size=8, pool_pre_ping=True)
        self.reader: Engine = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        # A transaction that waited for the write lock must see the writes before it. READ COMMITTED gives
        # each statement a new snapshot; while the transaction has the lock, nobody else writes between
        # statements.
        self.writer: Engine = create_engine(
            address,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_size=1,
            max_overflow=0,
            pool_timeout=_TIMEOUT_S,
            pool_pre_ping=True,
        )
        event.listen(self.writer, "connect", _configure_writer)
        if exclusive:
            event.listen(self.writer, "connect", _take_node_lock)
        event.listen(self.writer, "begin", _take_write_lock)
        self._closed = False
        for engine in (self.engine, self.writer):
            event.listen(engine, "do_connect", self._refuse_once_closed)
            event.listen(engine, "checkin", self._close_late)

    def prepare(self) -> None:
        """Do nothing: the operator creates the database."""

    def create(self, connection: Connection) -> None:
        """Create the newest schema in an empty database."""
        METADATA.create_all(connection)
        for statement in guards():
            connection.exec_driver_sql(statement)

    def write_nothing(self, connection: Connection) -> None:
        """Write a logical message to the write-ahead log, which nobody reads: the commit syncs it."""
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'mandorla', '')")

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the database, and 0: the write-ahead log belongs to the server."""
        with self.engine.connect() as connection:
            size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        return int(size), 0

    def scrub(self) -> bool:
        """Rewrite the table of seeds, so that the old file, with the destroyed seeds, is deleted.

        Rows that an open snapshot can still see stay until the next call. Write-ahead logs, their archives
        and backups are the database administrator's; the seeds in them are sealed under the node's key.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"SET lock_timeout = {_SCRUB_TIMEOUT_MS}")
            try:
                connection.exec_driver_sql("VACUUM (FULL) held_epochs")
            except OperationalError:
                return False
            finally:
                connection.exec_driver_sql("RESET lock_timeout")
        return True

    def close(self) -> None:
        """Close every connection; a connection that a thread still uses closes when the thread returns it."""
        self._closed = True
        self.engine.dispose()
        self.writer.dispose()

    def _refuse_once_closed(self, *_: object) -> None:
        # A new connection would hold the node's lock after the node has ended.
        if self._closed:
            raise NodeError(Code.STORE_FAILED, "the store is closed")

    def _close_late(self, connection: DBAPIConnection | None, _record: ConnectionPoolEntry) -> None:
        if self._closed and connection is not None:
            connection.close()


def guards() -> list[str]:
    """Return the statements that make the database refuse changes to append-only tables."""
    triggers = (
        f"CREATE TRIGGER {table.name}_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        "EXECUTE FUNCTION refuse_change()"
        for table in APPEND_ONLY
    )
    return [_REFUSE, *triggers]


def _parsed(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        address = URL.create("")
    if address.drivername not in ("postgresql", "postgresql+psycopg"):
        # The error does not quote the URL: it may contain a password.
        raise NodeError(Code.BAD_CONFIG, "[store] url must be postgresql://..., or empty for SQLite")
    return address.set(drivername="postgresql+psycopg")


def _configure_writer(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # A charge must be durable before the node sends the answer. Stricter settings of the server stay.
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.execute(f"SET lock_timeout = '{_TIMEOUT_S}s'")
    cursor.close()
    connection.commit()


def _take_node_lock(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    from psycopg.errors import LockNotAvailable  # noqa: PLC0415 - an extra

    cursor = connection.cursor()
    cursor.execute(f"SET LOCAL lock_timeout = '{_HANDOVER_S}s'")
    try:
        cursor.execute(f"SELECT pg_advisory_lock({_NODE_LOCK})")
    except LockNotAvailable:
        connection.close()
        raise NodeError(Code.STORE_FAILED, "another node uses this database") from None
    connection.commit()


def _take_write_lock(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")
