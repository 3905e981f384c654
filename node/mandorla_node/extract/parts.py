"""Parts on disk: rows spread by a hash, so that each part fits in memory and holds all rows of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import polars as pl
import pyarrow as pa

_COMPRESSION: Final = "lz4"
_BUFFERED: Final = 1 << 26
"""Bytes of rows that wait in memory for their parts, so that what is written is not in crumbs."""


class Spread:
    """A writer that spreads frames over the parts of a kind by the hash of a column.

    A part is a folder with a file for each writer, so that writers need not know of each other. If `distinct`
    is set, equal rows are one; some may be written twice.
    """

    def __init__(
        self, work: Path, kind: str, parts: int, key: str, writer: str, distinct: bool = True
    ) -> None:
        self._folder = work / kind
        self._parts = parts
        self._key = key
        self._writer = writer
        self._distinct = distinct
        self._waiting: list[pl.DataFrame] = []
        self._bytes = 0
        self._files: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        for file in self._files.values():
            file.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows in."""
        if frame.height:
            self._waiting.append(frame)
            self._bytes += int(frame.estimated_size())
            if self._bytes >= _BUFFERED:
                self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        part = pl.col(self._key).hash(seed=0) % self._parts
        frame = pl.concat(self._waiting)
        self._waiting, self._bytes = [], 0
        frame = (frame.unique() if self._distinct else frame).with_columns(part.alias("part"))
        for (number,), rows in frame.partition_by("part", as_dict=True, include_key=False).items():
            self._write(int(number), rows.to_arrow(compat_level=pl.CompatLevel.oldest()))

    def _write(self, part: int, rows: pa.Table) -> None:
        if part not in self._files:
            folder = self._folder / f"{part:04}"
            folder.mkdir(parents=True, exist_ok=True)
            self._files[part] = pa.ipc.new_stream(
                folder / f"{self._writer}.arrow",
                rows.schema,
                options=pa.ipc.IpcWriteOptions(compression=_COMPRESSION),
            )
        self._files[part].write_table(rows)


def read_part(work: Path, kind: str, part: int) -> pl.DataFrame | None:
    """Return all rows of a part, in no particular order; None if there are none."""
    paths = sorted((work / kind / f"{part:04}").glob("*.arrow"))
    frames = []
    for path in paths:
        with path.open("rb") as file, pa.ipc.open_stream(file) as stream:
            frame = pl.from_arrow(stream.read_all())
        if isinstance(frame, pl.DataFrame):
            frames.append(frame)
    return pl.concat(frames) if frames else None


def write_rows(work: Path, kind: str, writer: str, frame: pl.DataFrame) -> None:
    """Write the sorted rows that a part gave, for the merge."""
    if frame.height:
        folder = work / kind
        folder.mkdir(parents=True, exist_ok=True)
        table = frame.unique().sort(frame.columns).to_arrow(compat_level=pl.CompatLevel.oldest())
        path = folder / f"{writer}.arrow"
        with pa.ipc.new_stream(
            path, table.schema, options=pa.ipc.IpcWriteOptions(compression=_COMPRESSION)
        ) as file:
            file.write_table(table, max_chunksize=8192)


def read_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a file, of which only some are in memory."""
    with path.open("rb") as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
