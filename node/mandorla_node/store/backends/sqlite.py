"""A store in an SQLite file in WAL mode, which only its owner can read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from mandorla_protocol.errors import Code, NodeError

SCHEMA: Final = Path(__file__).with_name("sqlite.sql")
"""The schema that the migrations create: statements, each ending with `;` at the end of a line.

`python -m tests.support.schemas` writes the file, and a test compares it with the migrations."""

_BUSY_TIMEOUT_MS: Final = 60_000


class Sqlite:
    """An SQLite file: one writer at a time, and concurrent readers."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        self._path = path
        # Parameters are indicators, tags and keys: SQLAlchemy must not print them into errors.
        self.engine: Engine = create_engine(f"sqlite:///{path}", hide_parameters=True, pool_size=8)
        event.listen(self.engine, "connect", _configure)
        event.listen(self.engine, "begin", _begin)
        self.reader: Engine = self.engine
        self.writer: Engine = self.engine.execution_options(mandorla_write=True)

    def prepare(self) -> None:
        """Create the file, readable by its owner only; raises OSError."""
        self._path.touch(mode=0o600)
        self._path.chmod(0o600)

    def create(self, connection: Connection) -> None:
        """Create the newest schema in an empty file, as the migrations would."""
        for statement in SCHEMA.read_text().split(";\n")[:-1]:
            connection.exec_driver_sql(statement)

    def write_nothing(self, connection: Connection) -> None:
        """Write `user_version` unchanged: SQLite writes its page even so, and nothing uses the number."""
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the file, and of the write-ahead log beside it; raises OSError."""
        log = self._path.with_name(self._path.name + "-wal")
        return self._path.stat().st_size, log.stat().st_size if log.exists() else 0

    def scrub(self) -> bool:
        """Copy the write-ahead log, which keeps old pages, into the main file, and empty the log."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            try:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        return not busy

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def copy_file(path: Path, to: Path) -> None:
    """Copy the state of a store at one moment, during other writes, and with any schema version.

    Raises NodeError(STORE_FAILED) if the file is not an SQLite database, or the copy cannot be written.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as source,
            closing(sqlite3.connect(to)) as copy,
        ):
            source.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            # All pages in one step: between steps, a write would make SQLite begin the copy again.
            source.backup(copy)
    except sqlite3.Error as error:
        raise NodeError(Code.STORE_FAILED, f"the database refused: {type(error).__name__}") from None


def _configure(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # `_begin` begins transactions: the driver would begin one only at the first write, too late for the reads
    # before it to see the same state.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        # A charge must be durable before the node sends the answer.
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "cache_size = -32768",
        # In pages: 32 MiB. The storing of a table changes the same index pages many times between
        # checkpoints.
        "wal_autocheckpoint = 8192",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: a read transaction that begins to write fails if another wrote since.
    write = connection.get_execution_options().get("mandorla_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
