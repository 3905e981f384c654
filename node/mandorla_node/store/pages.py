"""Tag tables at rest: rows of columns, each row a part of one version (SPEC 7.1)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, func, select

from mandorla_protocol.table import TablePart

from .bulk import insert_rows

_COLUMNS = ("epoch_id", "leaf", "version", "operations", "tags", "sealed")


def insert_parts(
    connection: Connection, table: Table, epoch_id: int, leaf: int, parts: Sequence[TablePart]
) -> None:
    """Keep entries that follow each other from a leaf index on."""
    rows = []
    for part in parts:
        rows.append((epoch_id, leaf, part.version, part.operations, part.tags, part.sealed))
        leaf += len(part)
    insert_rows(connection, table, _COLUMNS, rows)


def read_parts(
    connection: Connection, table: Table, epoch_id: int, start: int, limit: int
) -> tuple[TablePart, ...]:
    """Return at most `limit` entries from a leaf index on."""
    mine = table.c.epoch_id == epoch_id
    first = connection.scalar(select(func.max(table.c.leaf)).where(mine, table.c.leaf <= start))
    if first is None:
        return ()
    rows = connection.execute(
        select(table.c.leaf, table.c.version, table.c.operations, table.c.tags, table.c.sealed)
        .where(mine, table.c.leaf >= first, table.c.leaf < start + limit)
        .order_by(table.c.leaf)
    )
    parts = (TablePart(*columns).cut(start - leaf, start + limit - leaf) for leaf, *columns in rows)
    return tuple(part for part in parts if part.operations)
