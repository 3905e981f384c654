"""When matches hold, and their numbers: in the order in which they begin, those of groups among them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal_column, or_, select

from .schema import GROUP_MATCHES, MATCHES

_ZERO: Final[ColumnElement[int]] = literal_column("0")
"""No parameter: statements for many rows have those of the columns alone."""


def holds(table: Table, now: ColumnElement[int] | int) -> ColumnElement[bool]:
    """Return the condition that a match holds: it was not ended, and its label has not expired."""
    return and_(table.c.ended_at == _ZERO, or_(table.c.expires == _ZERO, table.c.expires > now))


def next_event(connection: Connection) -> int:
    """Return a number beyond every match that began, within the transaction that uses it."""
    last = [
        int(connection.scalar(select(func.coalesce(func.max(table.c.event), 0))) or 0)
        for table in (MATCHES, GROUP_MATCHES)
    ]
    return max(last) + 1
