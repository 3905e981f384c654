"""Matches as Parquet, with the columns of CSV."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO, Final

from .matches import COLUMNS, FoundMatch

_ROW_GROUP: Final = 65_536


def write_parquet(matches: Iterable[FoundMatch], target: BinaryIO) -> None:
    """Write Parquet, with one row group in memory. Times are RFC 3339 texts."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

    numbers = {"confidence": pa.uint8(), "tokens": pa.uint64()}
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in COLUMNS])
    rows = iter(matches)
    with pq.ParquetWriter(target, schema) as writer:
        while group := [match.as_row() for match in islice(rows, _ROW_GROUP)]:
            writer.write_table(pa.Table.from_pylist(group, schema))
