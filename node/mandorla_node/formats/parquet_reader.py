"""The reader of Parquet, in a child process with a memory limit.

A Parquet file states the sizes of its pages itself and may lie, and its reader is a large native library. So
a child process under a memory limit converts the file to JSON Lines, one for each row; if it fails, the
reader ends it and rejects the file. Rows are numbered from 1.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import IO, Final, cast

from mandorla_protocol.errors import Code, InputError

from .json_lines_reader import read_json_lines
from .lines import Source
from .rows import IngestRow, RejectedRow, RowDefaults

MAX_FILE: Final = 4 << 30
"""The most bytes of a Parquet file."""

MEMORY: Final = 2 << 30
"""The address space of the child process, in bytes. pyarrow itself takes a part of it."""

CHILD: Final = "mandorla_node.formats.parquet_child"

NOT_PARQUET: Final = 2
BAD_COLUMNS: Final = 3
TOO_MANY_ROWS: Final = 4
_FAILURES: Final = {
    NOT_PARQUET: "the file is not Parquet, or is damaged",
    BAD_COLUMNS: "the Parquet file has no text column `value`, or has a known column twice or with an "
    "unsupported type",
    TOO_MANY_ROWS: "the Parquet file claims more rows than its size can hold",
}
_CHUNK: Final = 1 << 20


def read_parquet(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read the columns of `FIELDS` of a Parquet file; ignore others.

    Raises InputError: BAD_FILE if the file is not Parquet, lacks the columns or is too large; BAD_CONFIG if
    pyarrow is not installed.
    """
    require_pyarrow()
    with _seekable(source) as file:
        child = subprocess.Popen(  # noqa: S603 - the interpreter, and a module of this package
            [sys.executable, "-m", CHILD, str(MEMORY)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield from read_json_lines(cast("Source", child.stdout), defaults)
            status = child.wait()
        finally:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
    if status:
        raise InputError(
            Code.BAD_FILE, _FAILURES.get(status, "reading the Parquet file took too much memory")
        )


def require_pyarrow() -> None:
    """Raise InputError(BAD_CONFIG) unless pyarrow is installed, which reads and writes Parquet."""
    if find_spec("pyarrow") is None:
        raise InputError(Code.BAD_CONFIG, "Parquet needs pyarrow: pip install 'mandorla[parquet]'")


def _seekable(source: Source) -> IO[bytes]:
    """Return a file with the content of a source: a Parquet reader begins at the file's end."""
    if isinstance(source, io.BufferedReader) and source.seekable():
        # The child inherits the descriptor with its position, which must be the file's beginning.
        source.seek(0)
        return cast("IO[bytes]", io.FileIO(source.fileno(), closefd=False))
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        remaining = MAX_FILE
        while chunk := source.read(_CHUNK):
            remaining -= len(chunk)
            if remaining < 0:
                raise InputError(Code.BAD_FILE, f"the Parquet file is larger than {MAX_FILE:,} bytes")
            file.write(chunk)
        file.seek(0)
        # From here on, the caller closes the file.
        stack.pop_all()
        return file
