"""A list on its way into the flagged or the observed set."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mandorla_protocol.errors import Code, InputError

from ...formats import Format, IngestRow, RejectedRow, RowDefaults, read_rows
from ...formats.compression import decompressed, peek
from ...formats.lines import Source
from ...ingest.report import MAX_REPORTED, IngestReport
from ...terminal import console, interactive
from .indicator_sink import IndicatorSink


@contextmanager
def list_opened(name: str) -> Iterator[BinaryIO]:
    """Open a list, or standard input for `-`; raises InputError(BAD_FILE)."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as source:
            yield source
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{name}: {error.strerror}") from None


def format_from_content(source: Source) -> tuple[Format, Source]:
    """Recognise plain lines or JSON Lines by the first byte; return the format and the whole source."""
    first, whole = peek(decompressed(source), 1)
    return Format.JSONL if first == b"{" else Format.PLAIN, whole


def ingest_list(
    sink: IndicatorSink, source: BinaryIO, strict: bool, list_format: Format | None, defaults: RowDefaults
) -> IngestReport:
    """Ingest a list, with a progress bar on a terminal; recognise its format if none is given.

    Raises InputError: BAD_ROWS if `strict` and a row is bad, BAD_FILE if the list cannot be read.
    """
    with _metered(source) as metered:
        row_format, whole = (list_format, metered) if list_format else format_from_content(metered)
        unreadable = _UnreadableRows(strict, row_format.unit)
        rows = unreadable.sift(read_rows(whole, row_format, defaults))
        report = sink.ingest(rows, strict, row_format.unit)
    return report + unreadable.report()


class _UnreadableRows:
    """The rows that could not be read. The sink gets the others."""

    def __init__(self, strict: bool, unit: str) -> None:
        self._strict = strict
        self._unit = unit
        self._first: list[RejectedRow] = []
        self._total = 0

    def sift(self, rows: Iterable[IngestRow | RejectedRow]) -> Iterator[IngestRow]:
        """Yield the readable rows; if `strict`, raise InputError(BAD_ROWS) at the first other."""
        for row in rows:
            if isinstance(row, IngestRow):
                yield row
                continue
            if self._strict:
                raise InputError(Code.BAD_ROWS, f"{self._unit} {row.line}: {row.reason}")
            self._total += 1
            if len(self._first) < MAX_REPORTED:
                self._first.append(row)

    def report(self) -> IngestReport:
        """Return the report of these rows alone."""
        return IngestReport(rejected=tuple(self._first), rejected_total=self._total)


@contextmanager
def _metered(source: BinaryIO) -> Iterator[Source]:
    """Show on a terminal how many bytes of a source were read."""
    if not interactive() or source.isatty():
        yield source
        return
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        facts = os.fstat(source.fileno())
        total = facts.st_size if stat.S_ISREG(facts.st_mode) else None
        yield _MeteredSource(source, progress, progress.add_task("reading", total=total))


class _MeteredSource:
    """A source that advances a progress bar."""

    def __init__(self, source: Source, progress: Progress, task: TaskID) -> None:
        self._source = source
        self._progress = progress
        self._task = task

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        chunk = self._source.read(size)
        self._progress.advance(self._task, len(chunk))
        return chunk
