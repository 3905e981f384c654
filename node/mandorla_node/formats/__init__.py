"""Lists as people keep them: reading indicators from files, and writing matches to them.

A reader yields one item for each row of its source, in order: an `IngestRow`, or a `RejectedRow` that names
the line and the reason and never the content. Memory is bounded by one line, however long the lines are.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath

from mandorla_protocol.errors import Code, InputError

from . import delimited, json_lines, plain
from .lines import Source
from .rows import IngestRow, RejectedRow, RowDefaults

__all__ = ["Format", "IngestRow", "RejectedRow", "RowDefaults", "format_of", "read_rows"]


class Format(StrEnum):
    """How a list is written."""

    PLAIN = "plain"
    CSV = "csv"
    JSONL = "jsonl"


_READERS = {
    Format.PLAIN: plain.read,
    Format.CSV: delimited.read,
    Format.JSONL: json_lines.read,
}

_EXTENSIONS = {
    "": Format.PLAIN,
    ".txt": Format.PLAIN,
    ".list": Format.PLAIN,
    ".lst": Format.PLAIN,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
}


def format_of(name: str) -> Format:
    """Tell a file's format by its extension; standard input (`-`) is a plain list.

    Raises InputError(BAD_INPUT) for an extension that says something else.
    """
    extension = PurePath(name).suffix.lower()
    if extension not in _EXTENSIONS:
        known = ", ".join(sorted(filter(None, _EXTENSIONS)))
        raise InputError(
            Code.BAD_INPUT, f"the extension {extension} is none of {known}; say the format with --format"
        )
    return _EXTENSIONS[extension]


def read_rows(source: Source, written_as: Format, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read a list.

    Raises InputError(BAD_FILE) if the file as a whole is not what it was said to be.
    """
    return _READERS[written_as](source, defaults)
