"""Many rows at a time, as plain tuples: SQLAlchemy's work for each parameter costs more than the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter

from sqlalchemy import Connection, Dialect, Table, insert


def insert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows whose values stand in the order of `columns`, two or more: numbers, texts and bytes."""
    if rows:
        statement, places = _statement(table, columns, connection.dialect)
        connection.exec_driver_sql(statement, list(map(itemgetter(*places), rows)))


@lru_cache(maxsize=64)
def _statement(table: Table, columns: tuple[str, ...], dialect: Dialect) -> tuple[str, tuple[int, ...]]:
    """Return the statement, and where in a row each of its parameters stands."""
    compiled = insert(table).compile(dialect=dialect, column_keys=list(columns))
    return compiled.string, tuple(map(columns.index, compiled.positiontup or ()))
