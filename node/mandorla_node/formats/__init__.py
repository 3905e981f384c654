"""Lists as people keep them: reading indicators from files, and writing matches to them.

A reader yields one item for each row of its source, in order: an `IngestRow`, or a `RejectedRow` that names
the line and the reason and never the content. Memory is bounded by one line or object, however long they are,
and for MISP by one event, of which there is a largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath

from mandorla_protocol.errors import Code, InputError

from . import csv_rows, documents, json_lines, misp, parquet, plain, stix
from .compression import unpacked
from .lines import Source
from .rows import IngestRow, RejectedRow, RowDefaults

__all__ = ["Format", "IngestRow", "RejectedRow", "RowDefaults", "format_of", "read_rows"]


class Format(StrEnum):
    """How a list is written."""

    PLAIN = "plain"
    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    STIX = "stix"
    MISP = "misp"
    PARQUET = "parquet"

    @property
    def unit(self) -> str:
        """What the numbers of rows count."""
        return _UNITS.get(self, "line")


_UNITS = {Format.JSON: "item", Format.STIX: "object", Format.MISP: "attribute", Format.PARQUET: "row"}
_READERS = {
    Format.PLAIN: plain.read,
    Format.CSV: csv_rows.read,
    Format.JSONL: json_lines.read,
    Format.JSON: documents.read,
    Format.STIX: stix.read,
    Format.MISP: misp.read,
    Format.PARQUET: parquet.read,
}

_EXTENSIONS = {
    "": Format.PLAIN,
    ".txt": Format.PLAIN,
    ".list": Format.PLAIN,
    ".lst": Format.PLAIN,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
    ".stix": Format.STIX,
    ".misp": Format.MISP,
    ".parquet": Format.PARQUET,
}
_COMPRESSED = ".gz"


def format_of(name: str) -> Format:
    """Tell a file's format by its extension, or that before `.gz`; standard input (`-`) is a plain list.

    `.json` is a STIX bundle or a MISP event, which reading tells apart.
    Raises InputError(BAD_INPUT) for an extension that says something else.
    """
    path = PurePath(name)
    extension = PurePath(path.stem if path.suffix.lower() == _COMPRESSED else path.name).suffix.lower()
    if extension not in _EXTENSIONS:
        known = ", ".join(sorted(filter(None, _EXTENSIONS)))
        raise InputError(
            Code.BAD_INPUT, f"the extension {extension} is none of {known}; say the format with --format"
        )
    return _EXTENSIONS[extension]


def read_rows(source: Source, written_as: Format, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read a list; one that is compressed with gzip is decompressed on the way.

    Raises InputError(BAD_FILE) if the file as a whole is not what it was said to be.
    """
    # Parquet has its own compression, and is read from its end.
    plain_source = source if written_as is Format.PARQUET else unpacked(source)
    return _READERS[written_as](plain_source, defaults)
