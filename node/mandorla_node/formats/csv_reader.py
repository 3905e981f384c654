"""The reader of CSV, strictly as in RFC 4180: a header, commas, and quotes around whole fields only."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Final

from mandorla_protocol.errors import Code, InputError

from .formulas import unguard_formula
from .lines import MAX_LINE, Line, Source, read_lines
from .rows import FIELDS, IngestRow, RejectedRow, RowDefaults, make_row

MAX_RECORD_LINES: Final = 64
"""The most lines of one record, which may have quoted line breaks."""

_QUOTED: Final = r'"(?:[^"]|"")*+"'
_FIELD: Final = rf'(?:{_QUOTED}|[^",]*+)'
_RECORD: Final = re.compile(rf"{_FIELD}(?:,{_FIELD})*+")
_UNCLOSED: Final = re.compile(rf'(?:{_FIELD},)*+"(?:[^"]|"")*+')
_NEXT: Final = re.compile(rf"({_FIELD})(?:,|\Z)")

Record = tuple[int, list[str]]
"""The number of a record's first line, and its fields."""


def read_csv(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read CSV; an unusable record becomes a `RejectedRow` with the number of its first line.

    Raises InputError(BAD_FILE) unless the first record is a header that names `value`, and names no known
    column twice.
    """
    columns: list[str] | None = None
    for record in _records(source):
        if columns is None:
            columns = _header(record)
        elif isinstance(record, RejectedRow):
            yield record
        else:
            line, fields = record
            if len(fields) != len(columns):
                reason = f"The record has {len(fields)} fields, the header {len(columns)}."
                yield RejectedRow(line, Code.BAD_INPUT, reason)
            else:
                texts = (unguard_formula(field) for field in fields)
                yield make_row(line, dict(zip(columns, texts, strict=True)), defaults)


def _header(record: Record | RejectedRow) -> list[str]:
    if isinstance(record, RejectedRow):
        raise InputError(Code.BAD_FILE, f"the header, line {record.line}: {record.reason}")
    columns = [name.strip().lower().replace(" ", "_") for name in record[1]]
    if "value" not in columns:
        raise InputError(
            Code.BAD_FILE, f"the header names no column `value`; the columns read are {', '.join(FIELDS)}"
        )
    for name in FIELDS:
        if columns.count(name) > 1:
            raise InputError(Code.BAD_FILE, f"the header names the column `{name}` twice")
    return columns


def _records(source: Source) -> Iterator[Record | RejectedRow]:
    """Yield records. If a quote is never closed, only its line is rejected, and the next is read."""
    lines = _Lookahead(read_lines(source))
    while (line := lines.take()) is not None:
        if isinstance(line, RejectedRow):
            yield line
        elif not line.text:
            continue
        elif _RECORD.fullmatch(line.text):
            yield line.number, _split(line.text)
        elif not _UNCLOSED.fullmatch(line.text):
            yield RejectedRow(line.number, Code.BAD_INPUT, "A quote is not where CSV allows one.")
        else:
            text, more = _join(line.text, lines)
            if text is None:
                yield RejectedRow(line.number, Code.BAD_INPUT, "A quoted field is not closed.")
            else:
                lines.drop(more)
                yield line.number, _split(text)


def _join(first: str, lines: _Lookahead) -> tuple[str | None, int]:
    """Find the lines that complete a record; return its text, or None, and the number of further lines."""
    text = first
    for more in range(1, MAX_RECORD_LINES):
        line = lines.peek(more - 1)
        if not isinstance(line, Line) or len(text) + len(line.text) >= MAX_LINE:
            return None, 0
        text = f"{text}\n{line.text}"
        # Only a line with a quote can close a field.
        if '"' in line.text:
            if _RECORD.fullmatch(text):
                return text, more
            if not _UNCLOSED.fullmatch(text):
                return None, 0
    return None, 0


def _split(record: str) -> list[str]:
    if '"' not in record:
        return record.split(",")
    fields, position = [], 0
    while match := _NEXT.match(record, position):
        field = match[1]
        fields.append(field[1:-1].replace('""', '"') if field.startswith('"') else field)
        position = match.end()
        if match.end() == match.end(1):
            break
    return fields


class _Lookahead:
    """An iterator of lines that can look ahead."""

    def __init__(self, lines: Iterator[Line | RejectedRow]) -> None:
        self._lines = lines
        self._ahead: deque[Line | RejectedRow] = deque()

    def take(self) -> Line | RejectedRow | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def peek(self, offset: int) -> Line | RejectedRow | None:
        while len(self._ahead) <= offset:
            line = next(self._lines, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[offset]

    def drop(self, count: int) -> None:
        for _ in range(count):
            self._ahead.popleft()
