"""The databases that can hold a store: an SQLite file in the home, or a PostgreSQL database.

All differences between the two are here, and in `bulk` for statements of many rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert


class Backend(Protocol):
    """A database, with the operations that SQL has no common form for."""

    errors: tuple[type[Exception], ...]
    """The driver's own errors, which calls that bypass SQLAlchemy raise."""

    @property
    def engine(self) -> Engine:
        """Connections without restrictions."""

    @property
    def reader(self) -> Engine:
        """Connections whose transactions read one state of the store."""

    @property
    def writer(self) -> Engine:
        """Connections whose transactions write: one at a time, over all processes."""

    def prepare(self) -> None:
        """Prepare the place of the database, such as its file; raises OSError."""

    def create(self, connection: Connection) -> None:
        """Create the newest schema in an empty database."""

    def write_nothing(self, connection: Connection) -> None:
        """Write without changing data: the commit shows whether the disk accepts writes."""

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the database, and of its own write-ahead log, if any; raises OSError."""

    def scrub(self) -> bool:
        """Erase destroyed secrets from the database's files, as far as the database can.

        Returns False if another transaction prevents it: this does not wait, since writers would wait too.
        """

    def close(self) -> None:
        """Close every connection."""


def upsert(table: Table, dialect: str) -> SqliteInsert | PostgresInsert:
    """Return an insert into a table that supports ON CONFLICT clauses."""
    if dialect != "postgresql":
        return SqliteInsert(table)
    from sqlalchemy.dialects.postgresql import Insert  # noqa: PLC0415 - slow to load

    return Insert(table)
