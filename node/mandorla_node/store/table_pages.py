"""Tag tables at rest: rows of columns, each row a part of one version (SPEC 7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection, Table, func, select

from mandorla_protocol.table import TablePart

from .bulk import insert_rows
from .schema import HELD_PAGES, PEER_PAGES
from .version_builder import OwnedPart

_COLUMNS = ("epoch_id", "leaf", "version", "operations", "tags", "sealed")


def insert_owned(connection: Connection, epoch_id: int, leaf: int, pages: Sequence[OwnedPart]) -> None:
    """Keep pages of an own table that follow each other from a leaf index on."""
    rows = []
    for part, owners in pages:
        rows.append((epoch_id, leaf, part.version, part.operations, part.tags, part.sealed, owners))
        leaf += len(part)
    insert_rows(connection, HELD_PAGES, (*_COLUMNS, "owners"), rows)


def insert_parts(connection: Connection, epoch_id: int, leaf: int, parts: Sequence[TablePart]) -> None:
    """Keep entries of a peer's table that follow each other from a leaf index on: a row for each version.

    A peer may send parts of one entry each, and every later comparison would pay for them.
    """
    rows = []
    for version, run in groupby(parts, key=attrgetter("version")):
        columns = zip(*((part.operations, part.tags, part.sealed) for part in run), strict=True)
        operations, tags, sealed = map(b"".join, columns)
        rows.append((epoch_id, leaf, version, operations, tags, sealed))
        leaf += len(operations)
    insert_rows(connection, PEER_PAGES, _COLUMNS, rows)


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


def entries_from_leaf(connection: Connection, table: Table, epoch_id: int, leaf: int) -> int:
    """Count the entries of the pages that begin at a leaf index or after it."""
    count = select(func.coalesce(func.sum(func.length(table.c.operations)), 0))
    return int(
        connection.execute(count.where(table.c.epoch_id == epoch_id, table.c.leaf >= leaf)).scalar_one()
    )
