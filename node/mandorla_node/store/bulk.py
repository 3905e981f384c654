"""Many rows at a time, as plain tuples: SQLAlchemy's work for each parameter costs more than the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, Dialect, Insert, Table, insert

_TOGETHER: Final = 256
"""Rows in one statement: for each that it steps, Python gives its lock up and takes it again."""


def insert_rows(
    connection: Connection, into: Table | Insert, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows whose values stand in the order of `columns`, two or more: numbers, texts and bytes.

    `into` may be a statement that says what to do with rows that are there: one for all calls, since it is
    compiled once.
    """
    if not rows:
        return
    one, several, places = _statements(into, columns, connection.dialect)
    if places != tuple(range(len(columns))):
        rows = list(map(itemgetter(*places), rows))
    whole = len(rows) - len(rows) % _TOGETHER if several else 0
    for start in range(0, whole, _TOGETHER):
        flat = tuple(chain.from_iterable(rows[start : start + _TOGETHER]))
        connection.exec_driver_sql(several, flat)
    if whole < len(rows):
        connection.exec_driver_sql(one, list(rows[whole:]))


@lru_cache(maxsize=64)
def _statements(
    into: Table | Insert, columns: tuple[str, ...], dialect: Dialect
) -> tuple[str, str, tuple[int, ...]]:
    """Return statements for one row and for several, and where in a row each parameter stands.

    The second is empty where parameters have names, which could not be told apart.
    """
    statement = insert(into) if isinstance(into, Table) else into
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    one, several = compiled.string, ""
    if dialect.paramstyle == "qmark":
        row = f"({', '.join('?' * len(columns))})"
        several = one.replace(f"VALUES {row}", f"VALUES {', '.join([row] * _TOGETHER)}")
    return one, several, tuple(map(columns.index, compiled.positiontup or ()))
