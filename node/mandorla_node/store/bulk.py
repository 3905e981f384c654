"""Many rows at a time, as plain tuples: SQLAlchemy's work for each parameter costs more than the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, Dialect, Insert, Table, insert
from sqlalchemy.sql.type_api import TypeEngine

_TOGETHER: Final = 256
"""Rows in one statement: for each that it steps, Python gives its lock up and takes it again."""


def insert_rows(
    connection: Connection, into: Table | Insert, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows whose values stand in the order of `columns`, two or more: numbers, texts and bytes.

    `into` may be a statement that says what to do with rows that are there: one for all calls, since it is
    compiled once. Rows are taken one after the other: the same may come twice.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        if isinstance(into, Table):
            _copy(connection, into, columns, rows)
        else:
            one, _, _ = _statements(into, columns, connection.dialect)
            connection.exec_driver_sql(one, [dict(zip(columns, row, strict=True)) for row in rows])
        return
    one, several, places = _statements(into, columns, connection.dialect)
    if places != tuple(range(len(columns))):
        rows = list(map(itemgetter(*places), rows))
    whole = len(rows) - len(rows) % _TOGETHER
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

    The second has its meaning where parameters are told by their places.
    """
    statement = insert(into) if isinstance(into, Table) else into
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    one = compiled.string
    row = f"({', '.join('?' * len(columns))})"
    several = one.replace(f"VALUES {row}", f"VALUES {', '.join([row] * _TOGETHER)}")
    return one, several, tuple(map(columns.index, compiled.positiontup or ()))


def _copy(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    types = [_plain_type(table.c[name].type, connection.dialect) for name in columns]
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    finally:
        cursor.close()


def _plain_type(of: TypeEngine[object], dialect: Dialect) -> str:
    return of.compile(dialect=dialect).split(" COLLATE")[0].lower()


def execute_given(
    connection: Connection,
    statement: str,
    columns: tuple[tuple[str, str], ...],
    rows: Sequence[tuple[object, ...]],
    common: tuple[int, ...] = (),
) -> int:
    """Execute a statement on rows, which it calls `given`, once or for some of them at a time.

    Return how many rows it inserted or changed.

    `columns` names the rows' columns and their types. `common` are the values of the statement's own
    parameters, each of which is a `?`.
    """
    names = ", ".join(name for name, _ in columns)
    if connection.dialect.name == "postgresql":
        arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
        # Names and types are the caller's own, and values are parameters.
        given = f"WITH given({names}) AS (SELECT * FROM unnest({arrays})) "  # noqa: S608
        values = tuple(map(list, zip(*rows, strict=True)))
        return connection.exec_driver_sql(given + statement.replace("?", "%s"), (*values, *common)).rowcount
    row = f"({', '.join('?' * len(columns))})"
    changed = 0
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER]
        given = f"WITH given({names}) AS (VALUES {', '.join([row] * len(some))}) "
        connection.exec_driver_sql(given + statement, (*chain.from_iterable(some), *common))
        # The driver counts nothing of a statement that begins with another word than INSERT.
        changed += int(connection.exec_driver_sql("SELECT changes()").scalar_one())
    return changed
