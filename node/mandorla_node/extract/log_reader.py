"""The reader of logs: JSON Lines, CSV and Parquet, in pieces, each in bounded memory.

The reader counts rows that it cannot read, and reports them by position, never by content.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mandorla_protocol.errors import Code, InputError

from .log_map import COLUMNS, LogMap

MAX_ROW: Final = 1 << 20
"""The largest row, in bytes."""

PIECE: Final = 1 << 26
"""The size of a piece of JSON Lines, in bytes."""

BATCH_ROWS: Final = 32_768
BATCH_BYTES: Final = 1 << 24
MAX_REPORTED: Final = 1000

_NOT_TEXT: Final = "\x00"
"""Replaces a line of CSV that cannot be read; fields may not contain it."""


class Source(Protocol):
    """A file, compressed or not."""

    def readline(self, size: int, /) -> bytes:
        """Return a line, or its first `size` bytes."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go to an offset."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a log: a file, and a range of its bytes or row groups; `end` 0 means the whole file."""

    path: Path
    kind: str
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class Faults:
    """The bad rows of a piece: their number, and the positions and reasons of the first ones."""

    total: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, reason: str) -> None:
        """Count a bad row."""
        self.total += 1
        if len(self.first) < MAX_REPORTED:
            self.first.append((number, reason))


@dataclass(slots=True)
class Batch:
    """Rows of a log: their positions in the piece, from 1, and the values of each column."""

    numbers: list[int]
    columns: dict[str, list[object]]


def find_pieces(logs: Path) -> list[Piece]:
    """Return the pieces of a log, or of all logs in a folder, in order.

    Raises InputError(BAD_FILE) if there is no log.
    """
    try:
        paths = sorted(path for path in logs.rglob("*") if _kind(path)) if logs.is_dir() else [logs]
        pieces = [piece for path in paths for piece in _pieces(path)]
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{error.filename or logs}: {error.strerror}") from None
    if not paths:
        raise InputError(Code.BAD_FILE, f"{logs} contains no .jsonl, .csv or .parquet file")
    return pieces


def _kind(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    kinds = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
    return next((kind for extension, kind in kinds.items() if name.endswith(extension)), "")


def _pieces(path: Path) -> Iterator[Piece]:
    kind = _kind(path)
    if not kind:
        raise InputError(Code.BAD_FILE, f"{path.name}: the extension of a log is .jsonl, .csv or .parquet")
    size = path.stat().st_size
    if kind == "parquet":
        with _parquet(path) as file:
            groups = file.num_row_groups
        yield from (Piece(path, kind, group, group + 1) for group in range(groups))
    elif kind == "jsonl" and path.suffix.lower() != ".gz":
        yield from (Piece(path, kind, start, min(start + PIECE, size)) for start in range(0, size, PIECE))
    else:
        yield Piece(path, kind)


def read(piece: Piece, log_map: LogMap, faults: Faults) -> Iterator[Batch | int]:
    """Yield the rows of a piece in batches, and last the number of all its rows, bad ones included.

    Raises InputError(BAD_FILE) if the file is not of its format.
    """
    try:
        if piece.kind == "parquet":
            yield from _read_parquet(piece, log_map)
            return
        opened = gzip.open if piece.path.suffix.lower() == ".gz" else Path.open
        with opened(piece.path, "rb") as source:
            if piece.kind == "jsonl":
                yield from _read_json(source, piece, log_map, faults)
            else:
                yield from _read_csv(source, piece, log_map, faults)
    except (OSError, EOFError, zlib.error):
        raise InputError(Code.BAD_FILE, f"{piece.path.name} cannot be read to its end") from None


def lines(source: Source) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line with its size in bytes; None for a line over `MAX_ROW`, which is never in memory."""
    while line := source.readline(MAX_ROW + 2):
        size, whole = len(line), line.endswith(b"\n")
        if whole or size <= MAX_ROW:
            yield line, size
            continue
        while line and not line.endswith(b"\n"):
            line = source.readline(MAX_ROW)
            size += len(line)
        yield None, size


def _read_json(source: Source, piece: Piece, log_map: LogMap, faults: Faults) -> Iterator[Batch | int]:
    place = piece.start
    if place:
        # A line across the start belongs to the piece before.
        source.seek(place - 1)
        place += _skip(source) - 1
    numbers: list[int] = []
    rows: list[dict[str, object]] = []
    held = number = 0
    if piece.end and place >= piece.end:
        yield 0
        return
    for number, (line, size) in enumerate(lines(source), 1):
        row = _object(line, number, faults)
        if row is not None:
            numbers.append(number)
            rows.append(row)
            held += size
        if held >= BATCH_BYTES or len(rows) >= BATCH_ROWS:
            yield _of_objects(numbers, rows, log_map)
            numbers, rows, held = [], [], 0
        place += size
        if piece.end and place >= piece.end:
            break
    yield _of_objects(numbers, rows, log_map)
    yield number


def _of_objects(numbers: list[int], rows: list[dict[str, object]], log_map: LogMap) -> Batch:
    columns: dict[str, list[object]] = {}
    for name, column in log_map.columns.items():
        path = column.split(".")
        found = [row.get(column) for row in rows] if len(path) == 1 else [_at(row, path) for row in rows]
        columns[name] = found
    return Batch(numbers, columns)


def _skip(source: Source) -> int:
    skipped = 0
    while line := source.readline(MAX_ROW):
        skipped += len(line)
        if line.endswith(b"\n"):
            break
    return skipped


def _object(line: bytes | None, number: int, faults: Faults) -> dict[str, object] | None:
    if line is None:
        faults.add(number, f"The line is longer than {MAX_ROW:,} bytes.")
        return None
    if not line.strip():
        return None
    try:
        row: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        faults.add(number, "The line is not a JSON object in UTF-8.")
        return None
    return row


def _at(row: Mapping[str, object], path: list[str]) -> object:
    """Return the value at a path of names, None if there is none."""
    whole = ".".join(path)
    if whole in row:
        return row[whole]
    value: object = row
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _read_csv(source: Source, piece: Piece, log_map: LogMap, faults: Faults) -> Iterator[Batch | int]:
    csv.field_size_limit(MAX_ROW)
    reader = csv.reader(_texts(source), strict=True)
    places: list[int | None] = []
    header: list[str] = []
    batch, held, number = _empty(), 0, 0
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error:
            faults.add(first, "The record has no end, is too long, or has a quote where CSV allows none.")
            continue
        if fields is None:
            break
        if not header:
            header = fields
            places = _places(header, piece, log_map)
        elif any(_NOT_TEXT in text for text in fields):
            faults.add(first, f"The record holds a NUL, a line over {MAX_ROW:,} bytes, or is not UTF-8.")
        elif fields and len(fields) != len(header):
            faults.add(first, f"The record has {len(fields)} fields, the header {len(header)}.")
        elif fields:
            batch.numbers.append(first)
            for name, place in zip(COLUMNS, places, strict=True):
                batch.columns[name].append(None if place is None else fields[place])
            held += sum(map(len, fields))
            if held >= BATCH_BYTES or len(batch.numbers) >= BATCH_ROWS:
                yield batch
                batch, held = _empty(), 0
        number = reader.line_num
    if not header:
        raise InputError(Code.BAD_FILE, f"{piece.path.name} has no header")
    yield batch
    yield number


def _texts(source: Source) -> Iterator[str]:
    for number, (line, _) in enumerate(lines(source)):
        try:
            text = _NOT_TEXT + "\n" if line is None else line.decode("utf-8")
        except UnicodeDecodeError:
            text = _NOT_TEXT + "\n"
        yield text.removeprefix("\ufeff") if number == 0 else text


def _places(header: list[str], piece: Piece, log_map: LogMap) -> list[int | None]:
    for name in sorted(log_map.named):
        if header.count(log_map.columns[name]) != 1:
            raise InputError(
                Code.BAD_FILE,
                f"{piece.path.name} needs exactly one column for {name}; `--map` gives its name",
            )
    return [header.index(column) if (column := log_map.columns[name]) in header else None for name in COLUMNS]


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowException:
        raise InputError(Code.BAD_FILE, f"{path.name} is not Parquet") from None


def _read_parquet(piece: Piece, log_map: LogMap) -> Iterator[Batch | int]:
    number = 0
    with _parquet(piece.path) as file:
        present = [name for name in COLUMNS if log_map.columns[name] in file.schema_arrow.names]
        _places([log_map.columns[name] for name in present], piece, log_map)
        wanted = [log_map.columns[name] for name in present]
        try:
            for part in file.iter_batches(4096, row_groups=[piece.start], columns=wanted):
                batch = _empty()
                batch.numbers = list(range(number + 1, number + len(part) + 1))
                for name in COLUMNS:
                    column = part.column(log_map.columns[name]).to_pylist() if name in present else None
                    batch.columns[name] = column or [None] * len(part)
                number += len(part)
                yield batch
        except (pa.ArrowException, UnicodeDecodeError):
            raise InputError(Code.BAD_FILE, f"{piece.path.name} is damaged") from None
    yield number


def _empty() -> Batch:
    return Batch([], {name: [] for name in COLUMNS})
