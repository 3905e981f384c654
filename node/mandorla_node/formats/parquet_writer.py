"""Matches as Parquet, with the columns of CSV."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO, Final

from .matches import COLUMNS, FoundMatch

_GROUP: Final = 65_536


def write_parquet(matches: Iterable[FoundMatch], target: BinaryIO) -> None:
    """Write Parquet, a row group at a time: texts, with times as RFC 3339, and the confidence as a number."""
    import pyarrow as pa  # noqa: PLC0415  # an extra, which may be missing
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema([(name, pa.uint8() if name == "confidence" else pa.string()) for name in COLUMNS])
    rows = iter(matches)
    with pq.ParquetWriter(target, schema) as writer:
        while group := [match.as_row() for match in islice(rows, _GROUP)]:
            writer.write_table(pa.Table.from_pylist(group, schema))
