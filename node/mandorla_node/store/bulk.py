"""Statements for many rows, given as tuples: SQLAlchemy's work on each value would cost the most."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, Dialect, Insert, Table, insert
from sqlalchemy.sql.type_api import TypeEngine

_TOGETHER: Final = 256
"""Rows in one statement. Python releases the GIL and takes it again for each statement."""


def insert_rows(
    connection: Connection, into: Table | Insert, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows whose values are in the order of `columns`, two or more: numbers, texts and bytes.

    `into` is a table, or an insert that resolves conflicts: pass the same object each time, since the
    compiled statement is cached by it. With a resolving insert, `rows` may hold the same key twice.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        if isinstance(into, Table):
            _copy(connection, into, columns, rows)
        else:
            single, _, _ = _statements(into, columns, connection.dialect)
            connection.exec_driver_sql(single, [dict(zip(columns, row, strict=True)) for row in rows])
        return
    single, several, places = _statements(into, columns, connection.dialect)
    if places != tuple(range(len(columns))):
        rows = list(map(itemgetter(*places), rows))
    whole = len(rows) - len(rows) % _TOGETHER
    for start in range(0, whole, _TOGETHER):
        flat = tuple(chain.from_iterable(rows[start : start + _TOGETHER]))
        connection.exec_driver_sql(several, flat)
    if whole < len(rows):
        connection.exec_driver_sql(single, list(rows[whole:]))


@lru_cache(maxsize=64)
def _statements(
    into: Table | Insert, columns: tuple[str, ...], dialect: Dialect
) -> tuple[str, str, tuple[int, ...]]:
    """Return the statements for one row and for several rows, and the column of each parameter, in order.

    The second statement works for drivers with positional parameters only.
    """
    statement = insert(into) if isinstance(into, Table) else into
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    single = compiled.string
    row = f"({', '.join('?' * len(columns))})"
    several = single.replace(f"VALUES {row}", f"VALUES {', '.join([row] * _TOGETHER)}")
    return single, several, tuple(map(columns.index, compiled.positiontup or ()))


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
    """Execute a statement that reads rows from `given`, for all rows at once or for a part at a time.

    `columns` has the names and SQL types of the columns of `given`. `common` has the values of the
    statement's own parameters, each a `?`. Returns the number of rows that the statement inserted or changed.
    """
    names = ", ".join(name for name, _ in columns)
    if connection.dialect.name == "postgresql":
        arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
        # The caller's code has the names and types; the data are parameters.
        given = f"WITH given({names}) AS (SELECT * FROM unnest({arrays})) "  # noqa: S608
        values = tuple(map(list, zip(*rows, strict=True)))
        return connection.exec_driver_sql(given + statement.replace("?", "%s"), (*values, *common)).rowcount
    row = f"({', '.join('?' * len(columns))})"
    changed = 0
    for start in range(0, len(rows), _TOGETHER):
        batch = rows[start : start + _TOGETHER]
        given = f"WITH given({names}) AS (VALUES {', '.join([row] * len(batch))}) "
        connection.exec_driver_sql(given + statement, (*chain.from_iterable(batch), *common))
        # The driver's row count covers only statements that begin with INSERT, UPDATE, DELETE or REPLACE.
        changed += int(connection.exec_driver_sql("SELECT changes()").scalar_one())
    return changed
