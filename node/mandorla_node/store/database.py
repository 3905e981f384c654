"""Transactions and migrations of a store."""

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
    """Whoever wants to know how writing goes."""

    def wrote(self, seconds: float) -> None:
        """Take note of a transaction that is on disk, and of its seconds, the wait for its turn included."""

    def write_failed(self) -> None:
        """Take note of a transaction that the database refused."""


class Database:
    """A database that is brought to the newest schema when it is opened."""

    observer: WriteObserver | None = None

    def __init__(self, path: Path, url: str = "", alone: bool = False) -> None:
        """Open the SQLite file at a path, or the PostgreSQL database of a URL if there is one.

        `alone` holds a PostgreSQL database for this node; SQLite's homes have a socket for that.

        Raises NodeError: BAD_CONFIG for a wrong URL, STORE_FAILED if the database refuses, is another node's,
        or was written by a newer version.
        """
        self._backend: Backend = _postgres(url, alone) if url else Sqlite(path)
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
        """Open a transaction that sees one state of the store."""
        with self._translated(), self._backend.reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; when it ends well, its changes are on disk."""
        with (
            self._observed(),
            self._translated(),
            self._backend.writer.connect() as connection,
            connection.begin(),
        ):
            yield connection

    def require_writable(self) -> None:
        """Write durably what changes nothing; raises NodeError(STORE_FAILED) if that cannot be done."""
        with self.write() as connection:
            self._backend.write_nothing(connection)

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the database, and of a write-ahead log beside it."""
        with self._translated():
            return self._backend.sizes()

    def scrub(self) -> bool:
        """Leave nothing of what was destroyed in the database's files; return whether that could be done."""
        with self._translated():
            return self._backend.scrub()

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, for the tests of migrations and of statements."""
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
        # One transaction: a schema is the old one or the new one, and two processes take turns.
        with self._backend.writer.begin() as connection:
            if not inspect(connection).has_table(VERSION.name):
                self._backend.create(connection)
                VERSION.create(connection)
                connection.execute(VERSION.insert().values(version_num=newest))
            elif connection.scalar(select(VERSION.c.version_num)) != newest:
                # Alembic takes a tenth of a second to load, and a store is seldom an old one.
                from .migrator import upgrade  # noqa: PLC0415

                upgrade(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with refused():
                yield
        except self._errors as error:
            reason = type(getattr(error, "orig", None) or error).__name__
            raise NodeError(Code.STORE_FAILED, f"the database refused: {reason}") from None


def _postgres(url: str, alone: bool) -> Backend:
    # Its dialect is slow to load, and most stores are files.
    from .backends.postgres import Postgres  # noqa: PLC0415

    return Postgres(url, alone)


@contextmanager
def refused() -> Iterator[None]:
    """Raise NodeError(STORE_FAILED) for what the file system refuses."""
    try:
        yield
    except OSError as error:
        raise NodeError(Code.STORE_FAILED, os.strerror(error.errno or 0)) from None
