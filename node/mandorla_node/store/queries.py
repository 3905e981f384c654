"""Small queries that several repositories need."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Select, func, select


def highest(connection: Connection, column: ColumnElement[int]) -> int:
    """Return the highest value of a column, 0 if it has none."""
    return int(connection.scalar(select(func.max(column))) or 0)


def count(connection: Connection, statement: Select[int]) -> int:
    """Return the number that a statement selects, 0 for NULL."""
    return int(connection.scalar(statement) or 0)
