"""The child process that converts a Parquet file on standard input to JSON Lines on standard output.

It prints nothing else, since pyarrow's errors may quote the file. Its exit status is one of `parquet_reader`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from .lines import MAX_LINE
from .parquet_reader import BAD_COLUMNS, NOT_PARQUET, TOO_MANY_ROWS
from .rows import FIELDS, MATCHED

_BATCH: Final = 4_096
_MAX_STRUCTURE: Final = 1 << 20
_ROWS_PER_BYTE: Final = 16
_FREE_ROWS: Final = 1 << 16
_NOT_UTF8: Final = b"\xff\n"
_TOO_LONG: Final = b" " * (MAX_LINE + 1) + b"\n"


class StopError(Exception):
    """The file cannot be read; the argument is the exit status."""


def main() -> None:
    """Write each row as a JSON object, within the address space that the argument gives in bytes.

    A row that is not UTF-8 becomes a line that is not UTF-8, and a row that is too long a line that is too
    long: the reader of JSON Lines rejects both under the right number.
    """
    memory = int(sys.argv[1])
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    status = 0
    try:
        for line in _lines(sys.stdin.buffer):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except StopError as stopped:
        status = int(stopped.args[0])
    except BrokenPipeError:
        status = 1
    except MemoryError:
        status = 1
    except (pa.ArrowException, OSError, ValueError):
        status = NOT_PARQUET
    except BaseException:
        status = 1
    # Skip the interpreter's shutdown, which could print an error that quotes the file.
    os._exit(status)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    size = os.fstat(file.fileno()).st_size
    parquet = pq.ParquetFile(
        file, thrift_string_size_limit=_MAX_STRUCTURE, thrift_container_size_limit=_MAX_STRUCTURE
    )
    if parquet.metadata.num_rows > _FREE_ROWS + _ROWS_PER_BYTE * size:
        raise StopError(TOO_MANY_ROWS)
    columns = columns_of(parquet.schema_arrow)
    for batch in parquet.iter_batches(_BATCH, columns=list(columns), use_threads=False):
        texts = {field: _cells(batch.column(name)) for name, field in columns.items()}
        for cells in zip(*texts.values(), strict=True):
            yield _line(dict(zip(texts, cells, strict=True)))


def columns_of(schema: pa.Schema) -> dict[str, str]:
    """Return the columns to read, each with its field of a row; raises StopError(BAD_COLUMNS)."""
    columns: dict[str, str] = {}
    for column in schema:
        field = column.name.strip().lower().replace(" ", "_")
        if field in FIELDS:
            if field in columns.values() or not _readable(field, column.type):
                raise StopError(BAD_COLUMNS)
            columns[column.name] = field
        elif field == MATCHED and _is_text(column.type):
            columns[column.name] = field
    if "value" not in columns.values():
        raise StopError(BAD_COLUMNS)
    return columns


def _readable(field: str, kind: pa.DataType) -> bool:
    if _is_text(kind):
        return True
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    numeric = pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return numeric and field not in ("type", "value")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _cells(column: pa.Array) -> list[bytes | int | None]:
    """Return the cells of a column: texts as bytes (possibly not UTF-8), and times as Unix seconds."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    elif not pa.types.is_integer(column.type):
        column = column.cast(pa.large_binary())
    cells: list[bytes | int | None] = column.to_pylist()
    return cells


def _line(row: dict[str, bytes | int | None]) -> bytes:
    if any(isinstance(cell, bytes) and len(cell) > MAX_LINE for cell in row.values()):
        return _TOO_LONG
    try:
        fields = {name: cell.decode() if isinstance(cell, bytes) else cell for name, cell in row.items()}
    except UnicodeDecodeError:
        return _NOT_UTF8
    return json.dumps(fields).encode() + b"\n"


if __name__ == "__main__":
    main()
