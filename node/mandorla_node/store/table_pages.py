"""Tag tables at rest: each row is a page, which holds entries of one version in columns (SPEC 7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection, Table, func, select

from mandorla_protocol.table import TablePart

from .bulk import insert_rows
from .queries import count
from .schema import HELD_PAGES, PEER_PAGES
from .version_builder import OwnedPart

_COLUMNS = ("epoch_id", "leaf", "version", "operations", "tags", "sealed")


def insert_owned(connection: Connection, epoch_id: int, leaf: int, pages: Sequence[OwnedPart]) -> None:
    """Store consecutive pages of an own table, from a leaf index on."""
    rows = []
    for part, owners in pages:
        rows.append((epoch_id, leaf, part.version, part.operations, part.tags, part.sealed, owners))
        leaf += len(part)
    insert_rows(connection, HELD_PAGES, (*_COLUMNS, "owners"), rows)


def insert_parts(connection: Connection, epoch_id: int, leaf: int, parts: Sequence[TablePart]) -> None:
    """Store consecutive entries of a peer's table, from a leaf index on: a row for each version among them.

    A peer may send parts of one entry each. Stored as rows, they would slow every later comparison.
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
    of_epoch = table.c.epoch_id == epoch_id
    # `start` may be in the middle of a page: read from the page that contains it, and cut.
    first = connection.scalar(select(func.max(table.c.leaf)).where(of_epoch, table.c.leaf <= start))
    if first is None:
        return ()
    rows = connection.execute(
        select(table.c.leaf, table.c.version, table.c.operations, table.c.tags, table.c.sealed)
        .where(of_epoch, table.c.leaf >= first, table.c.leaf < start + limit)
        .order_by(table.c.leaf)
    )
    parts = (TablePart(*columns).cut(start - leaf, start + limit - leaf) for leaf, *columns in rows)
    return tuple(part for part in parts if part.operations)


def entries_from_leaf(connection: Connection, table: Table, epoch_id: int, leaf: int) -> int:
    """Count the entries of the pages that begin at a leaf index or after it."""
    entries = select(func.sum(func.length(table.c.operations)))
    return count(connection, entries.where(table.c.epoch_id == epoch_id, table.c.leaf >= leaf))
