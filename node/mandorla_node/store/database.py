"""The transactions and the schema version of a store."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from mandorla_protocol.errors import Code, NodeError

from .backends import Backend
from .backends.sqlite import Sqlite
from .schema import VERSION, newest_version


class WriteObserver(Protocol):
    """Receives the result of each write transaction, from any thread."""

    def wrote(self, seconds: float) -> None:
        """Handle a transaction that is durable; `seconds` includes its wait for other writers."""

    def write_failed(self) -> None:
        """Handle a transaction that the database refused."""


class Database:
    """A database; opening it brings its schema to the newest version."""

    observer: WriteObserver | None = None

    def __init__(self, path: Path, url: str = "", exclusive: bool = False) -> None:
        """Open the PostgreSQL database of `url`, or the SQLite file at `path` if `url` is empty.

        `exclusive` keeps other nodes out of a PostgreSQL database; a home's socket does that for SQLite.

        Raises NodeError: BAD_CONFIG for a wrong URL, STORE_FAILED if the database refuses, belongs to another
        node, or was written by a newer version.
        """
        self._backend: Backend = _postgres(url, exclusive) if url else Sqlite(path)
        self._errors: tuple[type[Exception], ...] = (SQLAlchemyError, *self._backend.errors)
        self.folder = path.parent
        try:
            with self._translated():
                self._backend.prepare()
                self._migrate()
        except NodeError:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._backend.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction, which sees one state of the store."""
        with self._translated(), self._backend.reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction; its changes are durable when the context ends without an error."""
        with (
            self._observed(),
            self._translated(),
            self._backend.writer.connect() as connection,
            connection.begin(),
        ):
            yield connection

    def require_writable(self) -> None:
        """Commit a write that changes no data; raises NodeError(STORE_FAILED) if the database refuses it."""
        with self.write() as connection:
            self._backend.write_nothing(connection)

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the database, and of a write-ahead log beside it."""
        with self._translated():
            return self._backend.sizes()

    def scrub(self) -> bool:
        """Erase destroyed secrets from the files; return False if another transaction prevents it."""
        with self._translated():
            return self._backend.scrub()

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for tests of migrations and statements."""
        return self._backend.engine

    @contextmanager
    def _observed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except NodeError as error:
            if self.observer is not None and error.code is Code.STORE_FAILED:
                self.observer.write_failed()
            raise
        if self.observer is not None:
            self.observer.wrote(time.perf_counter() - started)

    def _migrate(self) -> None:
        newest = newest_version()
        # One transaction: a crash leaves the old schema or the new one, and two processes take turns.
        with self._backend.writer.begin() as connection:
            if not inspect(connection).has_table(VERSION.name):
                self._backend.create(connection)
                VERSION.create(connection)
                connection.execute(VERSION.insert().values(version_num=newest))
            elif connection.scalar(select(VERSION.c.version_num)) != newest:
                from .migrator import upgrade  # noqa: PLC0415 - Alembic loads in 0.1 s, and is seldom needed

                upgrade(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with file_errors_translated():
                yield
        except self._errors as error:
            reason = type(getattr(error, "orig", None) or error).__name__
            raise NodeError(Code.STORE_FAILED, f"the database refused: {reason}") from None


def _postgres(url: str, exclusive: bool) -> Backend:
    from .backends.postgres import Postgres  # noqa: PLC0415 - an extra, and its dialect is slow to load

    return Postgres(url, exclusive)


@contextmanager
def file_errors_translated() -> Iterator[None]:
    """Raise NodeError(STORE_FAILED) in place of OSError."""
    try:
        yield
    except OSError as error:
        raise NodeError(Code.STORE_FAILED, os.strerror(error.errno or 0)) from None
