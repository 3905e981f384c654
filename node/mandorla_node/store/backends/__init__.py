"""The databases that can hold a store: an SQLite file in the home, or a PostgreSQL database.

What differs between the two is in here, and in `bulk` for many rows at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert


class Backend(Protocol):
    """A database, and what a store needs of it beyond SQL."""

    errors: tuple[type[Exception], ...]
    """What its driver raises where SQLAlchemy is passed over."""

    @property
    def engine(self) -> Engine:
        """Connections that may do anything."""

    @property
    def reader(self) -> Engine:
        """Connections whose transactions see one state of the store."""

    @property
    def writer(self) -> Engine:
        """Connections whose transactions may write: one at a time, over all processes."""

    def prepare(self) -> None:
        """Make ready what the database is in; raises OSError."""

    def create(self, connection: Connection) -> None:
        """Create the newest schema in an empty database."""

    def write_nothing(self, connection: Connection) -> None:
        """Have a transaction write what changes nothing, so that its end shows whether the disk takes it."""

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the database, and of a write-ahead log that is its own; raises OSError."""

    def scrub(self) -> bool:
        """Leave nothing of what was destroyed in the database's files, as far as it can be told to.

        Returns whether nobody was in the way: it does not wait, since others would wait for it.
        """

    def close(self) -> None:
        """Close every connection."""


def upsert(table: Table, dialect: str) -> SqliteInsert | PostgresInsert:
    """Return an insert into a table that can say what to do with rows that are there."""
    if dialect != "postgresql":
        return SqliteInsert(table)
    from sqlalchemy.dialects.postgresql import Insert  # noqa: PLC0415 - slow to load

    return Insert(table)
