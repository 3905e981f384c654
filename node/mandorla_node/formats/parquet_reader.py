"""Parquet: read in a process of its own, with bounded memory, and written for matches.

A Parquet file says itself how much memory its pages take, and may lie; and its reader is a large native
library. So a child process under a memory limit turns it into JSON Lines, one a row, and is let go of if it
fails. Rows are numbered from 1.
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
"""Bytes of a Parquet file, at most."""

MEMORY: Final = 2 << 30
"""Bytes of address space of the process that reads it, of which pyarrow itself takes a part."""

CHILD: Final = "mandorla_node.formats.parquet_child"

NOT_PARQUET: Final = 2
BAD_COLUMNS: Final = 3
TOO_MANY_ROWS: Final = 4
_FAILURES: Final = {
    NOT_PARQUET: "the file is not Parquet, or is damaged",
    BAD_COLUMNS: "the Parquet file has no column `value` of texts, or a known column twice or of a type that "
    "is not read",
    TOO_MANY_ROWS: "the Parquet file says that it has more rows than its size can hold",
}
_CHUNK: Final = 1 << 20


def read_parquet(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read Parquet with the columns of `FIELDS`; others are ignored.

    Raises InputError: BAD_FILE if it is no Parquet, has no such columns or is too large to read;
    BAD_CONFIG if pyarrow is not installed.
    """
    require_pyarrow()
    with _seekable(source) as file:
        child = subprocess.Popen(  # noqa: S603  # the interpreter, and a module of this package
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
    """Raise InputError(BAD_CONFIG) if Parquet can't be read or written here."""
    if find_spec("pyarrow") is None:
        raise InputError(Code.BAD_CONFIG, "Parquet needs pyarrow: pip install 'mandorla[parquet]'")


def _seekable(source: Source) -> IO[bytes]:
    """Return a file with the content of a source: Parquet is read from its end."""
    if isinstance(source, io.BufferedReader) and source.seekable():
        # The child gets the descriptor, and must find it where the file begins.
        source.seek(0)
        return cast("IO[bytes]", io.FileIO(source.fileno(), closefd=False))
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        left = MAX_FILE
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise InputError(Code.BAD_FILE, f"the Parquet file is larger than {MAX_FILE:,} bytes")
            file.write(chunk)
        file.seek(0)
        # The caller closes it from here on.
        stack.pop_all()
        return file
