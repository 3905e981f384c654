"""A store in an SQLite file in WAL mode, for its owner's eyes only."""

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
"""What the migrations make of an empty file, a statement to each `;` that ends a line.

`python -m tests.support.schemas` writes it, and a test compares."""

_BUSY_TIMEOUT_MS: Final = 60_000


class Sqlite:
    """A file; one writer at a time, and readers beside it."""

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
        """Make the file, for its owner only; raises OSError."""
        self._path.touch(mode=0o600)
        self._path.chmod(0o600)

    def create(self, connection: Connection) -> None:
        """Create in an empty file what the migrations, one after another, would leave in it."""
        for statement in SCHEMA.read_text().split(";\n")[:-1]:
            connection.exec_driver_sql(statement)

    def write_nothing(self, connection: Connection) -> None:
        """Write the number that is there: SQLite writes its page all the same, and nothing else uses it."""
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the file, and of the write-ahead log beside it; raises OSError."""
        log = self._path.with_name(self._path.name + "-wal")
        return self._path.stat().st_size, log.stat().st_size if log.exists() else 0

    def scrub(self) -> bool:
        """Move what was written into the main file, and empty the write-ahead log, which keeps old pages."""
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
    """Copy a store as it is at one moment, whoever writes to it, and whatever its schema.

    Raises NodeError(STORE_FAILED) if it cannot be read as what it is, or the copy not be written.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as source,
            closing(sqlite3.connect(to)) as copy,
        ):
            source.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            # All pages in one step, so that a writer in between is no reason to begin again.
            source.backup(copy)
    except sqlite3.Error as error:
        raise NodeError(Code.STORE_FAILED, f"the database refused: {type(error).__name__}") from None


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
        "cache_size = -32768",
        # In pages: 32 MiB. While a table is stored, the same pages of its indexes change again and again.
        "wal_autocheckpoint = 8192",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: a reader that turns writer may fail when another was faster.
    write = connection.get_execution_options().get("mandorla_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
