"""The lists that an extraction takes: accounts to extract, and indicators to leave out."""

from __future__ import annotations

from pathlib import Path

from mandorla_protocol.errors import Code, InputError

from ..formats import IngestRow, RowDefaults, format_of, read_rows
from .rows import MAX_NAME


def read_accounts(path: Path) -> frozenset[str]:
    """Return the accounts of a file, one a line; raises InputError(BAD_FILE)."""
    try:
        lines = path.read_text("utf-8").split("\n")
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(Code.BAD_FILE, f"{path} is not UTF-8") from None
    names = frozenset(name for line in lines if (name := line.removesuffix("\r")))
    if any(len(name) > MAX_NAME for name in names):
        raise InputError(Code.BAD_FILE, f"{path}: a line is longer than {MAX_NAME:,} characters")
    return names


def read_stop_list(path: Path) -> frozenset[tuple[str, str]]:
    """Return the (type, value) pairs of a file of indicators.

    Raises InputError: BAD_FILE if the file cannot be read, BAD_ROWS if a row is not an indicator.
    """
    found = []
    try:
        with path.open("rb") as source:
            for row in read_rows(source, format_of(path.name), RowDefaults()):
                if not isinstance(row, IngestRow):
                    raise InputError(Code.BAD_ROWS, f"{path}, line {row.line}: {row.reason}")
                found.append((row.type, row.value))
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
    return frozenset(found)
