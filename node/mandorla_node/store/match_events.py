"""The condition that a match is current, and the numbers of matches, of indicators and groups alike."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, and_, literal_column, or_

from .queries import highest
from .schema import GROUP_MATCHES, MATCHES

_ZERO: Final[ColumnElement[int]] = literal_column("0")
"""A literal, not a parameter: statements for many rows have the parameters of the columns only."""


def is_current(table: Table, now: ColumnElement[int] | int) -> ColumnElement[bool]:
    """Return the condition that a match is current: it has not ended, and its label has not expired."""
    return and_(table.c.ended_at == _ZERO, or_(table.c.expires == _ZERO, table.c.expires > now))


def next_event(connection: Connection) -> int:
    """Return the number of the next match to begin, valid within the caller's write transaction."""
    return max(highest(connection, table.c.event) for table in (MATCHES, GROUP_MATCHES)) + 1
