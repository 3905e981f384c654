"""Many rows at a time, as plain tuples: SQLAlchemy's work for each parameter costs more than the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter

from sqlalchemy import Connection, Dialect, Insert, Table, insert


def insert_rows(
    connection: Connection, into: Table | Insert, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows whose values stand in the order of `columns`, two or more: numbers, texts and bytes.

    `into` may be a statement that says what to do with rows that are there: one for all calls, since it is
    compiled once.
    """
    if rows:
        statement, places = _statement(into, columns, connection.dialect)
        if places != tuple(range(len(columns))):
            rows = list(map(itemgetter(*places), rows))
        connection.exec_driver_sql(statement, list(rows))


@lru_cache(maxsize=64)
def _statement(
    into: Table | Insert, columns: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[int, ...]]:
    """Return the statement, and where in a row each of its parameters stands."""
    statement = insert(into) if isinstance(into, Table) else into
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    return compiled.string, tuple(map(columns.index, compiled.positiontup or ()))
