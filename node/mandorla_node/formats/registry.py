"""The formats that lists are read in, by name and by file extension."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath

from mandorla_protocol.errors import Code, InputError

from .compression import decompressed
from .csv_reader import read_csv
from .json_lines_reader import read_json_lines
from .json_reader import read_json
from .lines import Source
from .misp_reader import read_misp
from .parquet_reader import read_parquet
from .plain_reader import read_plain
from .rows import IngestRow, RejectedRow, RowDefaults
from .stix_reader import read_stix


class Format(StrEnum):
    """The format of a list."""

    PLAIN = "plain"
    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    STIX = "stix"
    MISP = "misp"
    PARQUET = "parquet"

    @property
    def unit(self) -> str:
        """The noun that row numbers count."""
        return _UNITS.get(self, "line")


_UNITS = {Format.JSON: "item", Format.STIX: "object", Format.MISP: "attribute", Format.PARQUET: "row"}
_READERS = {
    Format.PLAIN: read_plain,
    Format.CSV: read_csv,
    Format.JSONL: read_json_lines,
    Format.JSON: read_json,
    Format.STIX: read_stix,
    Format.MISP: read_misp,
    Format.PARQUET: read_parquet,
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
    """Return the format that a file's extension names, without `.gz`; standard input (`-`) is a plain list.

    `.json` is `Format.JSON`: a STIX bundle or a MISP event, which the reader distinguishes by content.
    Raises InputError(BAD_INPUT) for an unknown extension.
    """
    path = PurePath(name)
    extension = PurePath(path.stem if path.suffix.lower() == _COMPRESSED else path.name).suffix.lower()
    if extension not in _EXTENSIONS:
        known = ", ".join(sorted(filter(None, _EXTENSIONS)))
        raise InputError(
            Code.BAD_INPUT, f"the extension {extension} is none of {known}; name the format with --format"
        )
    return _EXTENSIONS[extension]


def read_rows(
    source: Source, list_format: Format, defaults: RowDefaults
) -> Iterator[IngestRow | RejectedRow]:
    """Read a list, decompressing gzip.

    Raises InputError(BAD_FILE) if the file as a whole is not in the format.
    """
    # Parquet has its own compression, and its reader begins at the end of the file.
    plain_source = source if list_format is Format.PARQUET else decompressed(source)
    return _READERS[list_format](plain_source, defaults)
