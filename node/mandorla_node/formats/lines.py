"""The lines of a byte stream, read in bounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from mandorla_protocol.errors import Code, InputError

from .rows import RejectedRow

MAX_LINE: Final = 65_536
"""The most bytes of a line, without its end."""

_CHUNK: Final = 1 << 16


class Source(Protocol):
    """A source of bytes that lists are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, without its end, and its number, from 1."""

    number: int
    text: str

    def __repr__(self) -> str:
        """Show the number only: logs and tracebacks must not contain the text."""
        return f"Line(number={self.number})"


def read_lines(source: Source) -> Iterator[Line | RejectedRow]:
    """Read lines that end in LF or CRLF, after an optional byte order mark.

    A line that is too long, is not UTF-8 or contains a NUL becomes a `RejectedRow`.

    Raises InputError(BAD_FILE) for UTF-16.
    """
    for number, line in enumerate(_split(source), 1):
        raw = without_byte_order_mark(line) if number == 1 and line else line
        if raw is None:
            yield RejectedRow(number, Code.BAD_INPUT, f"The line is longer than {MAX_LINE:,} bytes.")
        elif b"\x00" in raw:
            yield RejectedRow(number, Code.BAD_INPUT, "The line holds a NUL.")
        else:
            try:
                yield Line(number, raw.decode("utf-8"))
            except UnicodeDecodeError:
                yield RejectedRow(number, Code.BAD_INPUT, "The line is not UTF-8.")


def without_byte_order_mark(first: bytes) -> bytes:
    """Return the first bytes of a file without a UTF-8 mark; raises InputError(BAD_FILE) for UTF-16."""
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(Code.BAD_FILE, "the file is UTF-16; write it as UTF-8")
    return first.removeprefix(codecs.BOM_UTF8)


def _split(source: Source) -> Iterator[bytes | None]:
    """Yield each line without its end; None for a line that is too long, which is never in memory whole."""
    pending = b""
    too_long = False
    while chunk := source.read(_CHUNK):
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            yield None if too_long else _bounded(pending + part)
            pending, too_long = b"", False
        if not too_long:
            pending += rest
            # One byte more than the limit: the last one may be the CR of the line's end.
            too_long = len(pending) > MAX_LINE + 1
            pending = b"" if too_long else pending
    if too_long:
        yield None
    elif pending:
        yield _bounded(pending)


def _bounded(line: bytes) -> bytes | None:
    line = line.removesuffix(b"\r")
    return line if len(line) <= MAX_LINE else None
