"""Rows on their way from a file into a node that runs, or into the store of one that does not."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, InputError

from ..client import Client, node_answers
from ..formats import Format, IngestRow, RejectedRow, RowDefaults, read_rows
from ..formats.compression import decompressed, peek
from ..formats.lines import Source
from ..home.folder import Home, HomeFolder
from ..ingest.ingestor import Ingestor
from ..ingest.report import MAX_REPORTED, IngestReport
from ..ingest.suppression import Suppressor
from ..store import IndicatorSet
from ..terminal import console, interactive

_BATCH: Final = 2_000
SETS: Final = {"flagged": operator_pb2.SET_FLAGGED, "observed": operator_pb2.SET_OBSERVED}


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open a list, or standard input for `-`; raises InputError(BAD_FILE)."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as source:
            yield source
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{name}: {error.strerror}") from None


def sniffed(source: Source) -> tuple[Format, Source]:
    """Tell plain lines from JSON Lines by the first byte, and return the whole source with it."""
    first, whole = peek(decompressed(source), 1)
    return Format.JSONL if first == b"{" else Format.PLAIN, whole


def feed(
    home: HomeFolder,
    target: str,
    strict: bool,
    source: BinaryIO,
    written_as: Format | None,
    defaults: RowDefaults,
    suppress: bool = True,
) -> IngestReport:
    """Ingest a list, with a progress bar on a terminal; return what became of its rows.

    A format that is not given is told by the first byte.

    Raises InputError: BAD_ROWS if it is strict and a row is bad, BAD_FILE if it cannot be read.
    """
    with _metered(source) as metered:
        told, whole = (written_as, metered) if written_as else sniffed(metered)
        unread = _Unread(strict, told.unit)
        rows = unread.sift(read_rows(whole, told, defaults))
        if node_answers(home.operator_socket):
            report = asyncio.run(_feed_node(home, target, strict, rows, suppress, told.unit))
        else:
            report = _feed_store(Home.open(home.path), target, strict, rows, suppress, told.unit)
    return unread.added_to(report)


async def _feed_node(
    home: HomeFolder, target: str, strict: bool, rows: Iterable[IngestRow], suppress: bool, unit: str
) -> IngestReport:
    async with Client(home.operator_socket, patience=0) as client:
        return await client.ingest(SETS[target], rows, strict, suppress, unit)


def _feed_store(
    home: Home, target: str, strict: bool, rows: Iterator[IngestRow], suppress: bool, unit: str
) -> IngestReport:
    into = IndicatorSet(target)
    suppressor = Suppressor(home.path, home.settings.suppression)
    suppression = suppressor.begin() if suppress and into is IndicatorSet.FLAGGED else None
    store = home.open_store()
    try:
        ingestor = Ingestor(store, into, strict, suppression, unit)
        while batch := list(islice(rows, _BATCH)):
            ingestor.add(batch)
        return ingestor.finish()
    finally:
        store.close()


class _Unread:
    """The rows that could not be read; the node only sees the others."""

    def __init__(self, strict: bool, unit: str) -> None:
        self._strict = strict
        self._unit = unit
        self._first: list[RejectedRow] = []
        self._total = 0

    def sift(self, rows: Iterable[IngestRow | RejectedRow]) -> Iterator[IngestRow]:
        """Pass on what was read; if it is strict, raise InputError(BAD_ROWS) at the first that was not."""
        for row in rows:
            if isinstance(row, IngestRow):
                yield row
                continue
            if self._strict:
                raise InputError(Code.BAD_ROWS, f"{self._unit} {row.line}: {row.reason}")
            self._total += 1
            if len(self._first) < MAX_REPORTED:
                self._first.append(row)

    def added_to(self, report: IngestReport) -> IngestReport:
        """Return the report with these rows in it."""
        return report + IngestReport(rejected=tuple(self._first), rejected_total=self._total)


@contextmanager
def _metered(source: BinaryIO) -> Iterator[Source]:
    """Show how much of a source was read, by bytes, if there is a terminal to show it on."""
    if not interactive() or source.isatty():
        yield source
        return
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        facts = os.fstat(source.fileno())
        total = facts.st_size if stat.S_ISREG(facts.st_mode) else None
        yield _Meter(source, progress, progress.add_task("reading", total=total))


class _Meter:
    """A source that tells how much of it was read."""

    def __init__(self, source: Source, progress: Progress, task: TaskID) -> None:
        self._source = source
        self._progress = progress
        self._task = task

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        chunk = self._source.read(size)
        self._progress.advance(self._task, len(chunk))
        return chunk
