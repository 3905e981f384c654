"""Connections, transactions and migrations of a store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from mandorla_protocol.errors import Code, NodeError

_BUSY_TIMEOUT_MS = 60_000


class Database:
    """An SQLite file in WAL mode, brought to the newest schema when it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Parameters are indicators, tags and keys: SQLAlchemy must not print them into errors.
        self._engine = create_engine(f"sqlite:///{path}", hide_parameters=True, pool_size=8)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        self.folder = path.parent
        with _translated():
            path.touch(mode=0o600)
            path.chmod(0o600)
            self._migrate()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the store."""
        with _translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; when it ends well, its changes are on disk."""
        with (
            _translated(),
            self._engine.connect().execution_options(mandorla_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    def truncate_wal(self) -> bool:
        """Move what was written into the main file, and empty the write-ahead log, which keeps old pages.

        Returns whether nobody was in the way: it does not wait, since writers would wait for it.
        """
        with _translated(), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            try:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        return not busy

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, for migrations and their tests."""
        return self._engine

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.connect().execution_options(mandorla_write=True) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _configure(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # Transactions are begun by `_begin`; the driver's own way begins them too late to be consistent.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        # A charge must survive a power cut before its answer leaves.
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "cache_size = -16384",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: a reader that turns writer may fail when another was faster.
    write = connection.get_execution_options().get("mandorla_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with refused():
            yield
    except (SQLAlchemyError, CommandError) as error:
        reason = type(getattr(error, "orig", None) or error).__name__
        raise NodeError(Code.STORE_FAILED, f"the database refused: {reason}") from None


@contextmanager
def refused() -> Iterator[None]:
    """Raise NodeError(STORE_FAILED) for what the file system refuses."""
    try:
        yield
    except OSError as error:
        raise NodeError(Code.STORE_FAILED, os.strerror(error.errno or 0)) from None
