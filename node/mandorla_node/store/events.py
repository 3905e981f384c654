"""The numbers of matches: in the order in which they begin, those of groups among them."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from .schema import GROUP_MATCHES, MATCHES


def next_event(connection: Connection) -> int:
    """Return a number beyond every match that began, within the transaction that uses it."""
    last = [
        int(connection.scalar(select(func.coalesce(func.max(table.c.event), 0))) or 0)
        for table in (MATCHES, GROUP_MATCHES)
    ]
    return max(last) + 1
