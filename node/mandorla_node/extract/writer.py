"""The writer of the output, in the formats that `ingest` reads."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from pathlib import Path
from typing import BinaryIO, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mandorla_protocol.errors import Code, InputError, NodeError

from .parts import OUT, Row
from .plan import TEMPLATE

_BATCH: Final = 16_384


def common_only(rows: Iterable[Row], least: int) -> Iterator[Row]:
    """Yield the values that at least `least` groups have, without their groups: a stop list.

    All values of templates are common: a template is one group, and many accounts have sent it.
    """
    for (kind, value), rows_of_value in groupby(rows, lambda row: row[:2]):
        if sum(1 for row in rows_of_value if row[2]) >= (1 if kind == TEMPLATE else least):
            yield kind, value, ""


def write(path: Path, rows: Iterable[Row], fields: tuple[str, ...] = OUT) -> int:
    """Write rows to a file that only this user can read; return their number. The extension sets the format.

    Raises InputError(BAD_INPUT) for an unknown extension, NodeError(STORE_FAILED) if the file cannot be
    written.
    """
    writer = writer_of(path)
    try:
        with _replacing(path) as file:
            return writer(file, iter(rows), fields)
    except OSError as error:
        raise NodeError(Code.STORE_FAILED, f"{path}: {error.strerror}") from None


def writer_of(path: Path) -> Callable[[BinaryIO, Iterator[Row], tuple[str, ...]], int]:
    """Return the writer for the extension of a file; raises InputError(BAD_INPUT) if there is none."""
    writers = {".jsonl": _write_json, ".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix.lower() not in writers:
        raise InputError(Code.BAD_INPUT, f"the extension of --out must be one of {', '.join(writers)}")
    return writers[path.suffix.lower()]


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, which replaces the old one only after everything is written."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
        Path(name).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _write_json(file: BinaryIO, rows: Iterator[Row], fields: tuple[str, ...]) -> int:
    total = 0
    for batch in _batches(rows):
        objects = ({name: text for name, text in zip(fields, row, strict=True) if text} for row in batch)
        file.writelines(orjson.dumps(one) + b"\n" for one in objects)
        total += len(batch)
    return total


def _write_csv(file: BinaryIO, rows: Iterator[Row], fields: tuple[str, ...]) -> int:
    total = 0
    for batch in _batches(rows):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(batch if total else [fields, *batch])
        file.write(text.getvalue().encode())
        total += len(batch)
    if not total:
        file.write((",".join(fields) + "\n").encode())
    return total


def _write_parquet(file: BinaryIO, rows: Iterator[Row], fields: tuple[str, ...]) -> int:
    schema = pa.schema([(name, pa.string()) for name in fields])
    total = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
            writer.write_table(pa.table(columns, schema))
            total += len(batch)
    return total
