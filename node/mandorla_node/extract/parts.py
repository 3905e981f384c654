"""Parts on disk: rows spread by a hash. Each part fits in memory and holds all rows of its keys."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeAlias

import polars as pl
import pyarrow as pa

Row: TypeAlias = tuple[str, ...]

OUT: Final = ("type", "value", "group")
"""The columns of the output."""

GROUPS: Final = ("group", "account")
"""The columns of the file that names the accounts behind groups."""

_COMPRESSION: Final = "lz4"
_RUN: Final = 500_000
"""The rows of a sorted run."""

_OPEN: Final = 128
"""The runs that a merge reads at a time."""

_CHUNK: Final = 2048
"""The rows of each run in memory during a merge."""

_BUFFERED: Final = 1 << 26
"""The bytes of rows that wait in memory, so that writes are large."""


class Spread:
    """A writer that spreads frames over the parts of a kind by the hash of a column.

    A part is a folder with one file for each writer, so writers do not wait for each other. With `distinct`,
    the writer drops equal rows as far as it sees them at once.
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()

    def add(self, frame: pl.DataFrame) -> None:
        """Add rows."""
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
        folder = self._folder / f"{part:04}"
        folder.mkdir(parents=True, exist_ok=True)
        # A stream behind the last one, so that no file stays open: there are many parts.
        with (folder / f"{self._writer}.arrow").open("ab") as file, _stream(file, rows.schema) as stream:
            stream.write_table(rows)


def read_part(work: Path, kind: str, part: int) -> pl.DataFrame | None:
    """Return all rows of a part, in no particular order; None if there are none."""
    frames = []
    for path in (work / kind / f"{part:04}").glob("*.arrow"):
        with path.open("rb") as file:
            while file.peek(1):
                with pa.ipc.open_stream(file) as stream:
                    frame = pl.from_arrow(stream.read_all())
                if isinstance(frame, pl.DataFrame):
                    frames.append(frame)
    return pl.concat(frames) if frames else None


class SortedRuns:
    """A writer of the rows of a part, in sorted runs for `merge`."""

    def __init__(self, work: Path, kind: str, writer: str, columns: Sequence[str]) -> None:
        self._folder = work / kind
        self._writer = writer
        self._columns = columns
        self._rows: list[Row] = []
        self._runs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        self._rows.extend(rows)
        if len(self._rows) >= _RUN:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            frame = pl.DataFrame(self._rows, dict.fromkeys(self._columns, pl.String), orient="row")
            frame = frame.unique().sort(*self._columns)
            self._rows = []
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{self._writer}-{self._runs:04}.arrow"
            self._runs += 1
            with path.open("wb") as file:
                table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                with _stream(file, table.schema) as stream:
                    stream.write_table(table, max_chunksize=_CHUNK)


def merge(work: Path, kind: str) -> Iterator[Row]:
    """Yield the rows of all runs of a kind, sorted and distinct.

    Memory is bounded: if there are too many runs to read at once, some are first merged into one.
    """
    paths = sorted((work / kind).glob("*.arrow"))
    made = 0
    while len(paths) > _OPEN:
        path = work / kind / f"merged-{made:06}.arrow"
        made += 1
        some, paths = paths[:_OPEN], paths[_OPEN:]
        _write_run(path, _merged(some))
        for one in some:
            one.unlink()
        paths.append(path)
    yield from _merged(paths)


def _merged(paths: Sequence[Path]) -> Iterator[Row]:
    return (row for row, _ in groupby(heapq.merge(*map(_read_run, paths))))


def _read_run(path: Path) -> Iterator[Row]:
    with path.open("rb") as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _write_run(path: Path, rows: Iterator[Row]) -> None:
    first = list(islice(rows, _CHUNK))
    schema = pa.schema([(str(number), pa.string()) for number in range(len(first[0]))])
    with path.open("wb") as file, _stream(file, schema) as stream:
        while first:
            columns = [pa.array(column, pa.string()) for column in zip(*first, strict=True)]
            stream.write_table(pa.table(columns, schema))
            first = list(islice(rows, _CHUNK))


def _stream(file: BinaryIO, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
    return pa.ipc.new_stream(file, schema, options=pa.ipc.IpcWriteOptions(compression=_COMPRESSION))


def write_frame(work: Path, kind: str, writer: str, frame: pl.DataFrame) -> None:
    """Write the counts of a part."""
    folder = work / kind
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_ipc(folder / f"{writer}.arrow")


def read_frames(work: Path, kind: str) -> Iterator[pl.DataFrame]:
    """Yield the counts of each part."""
    for path in (work / kind).glob("*.arrow"):
        yield pl.read_ipc(path)
