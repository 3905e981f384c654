"""A stream, which may never end, on its way into the flagged or the observed set.

    reader thread    reads rows into a queue, and stops while the queue is full
    _RowBatches      takes rows from the queue; a batch leaves when it is full, or soon after its first row
    _RetryingSink    sends each batch as an ingest of its own, again and again until it is acknowledged

So memory is bounded however long the stream lasts, and rows that were not acknowledged are counted.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import BinaryIO, Final, TypeAlias

from mandorla_protocol.errors import Code, MandorlaError, NodeError

from ...core.backoff import Backoff
from ...formats import Format, IngestRow, RejectedRow, RowDefaults, read_rows
from ...formats.lines import Source
from ...ingest.report import IngestReport
from ...terminal import console, safe
from .indicator_sink import IndicatorSink
from .list_ingest import format_from_content

STREAM_FORMATS: Final = frozenset({Format.PLAIN, Format.CSV, Format.JSONL})
"""The formats in which each line is a row; the others are documents, which have an end."""

_BATCH: Final = 2_000
_BATCH_WAIT: Final = 0.5
"""Seconds that a row waits for others, at most."""

_POLL: Final = 0.2
_FIRST_RETRY: Final = 0.25
_LONGEST_RETRY: Final = 5.0
_LAST_PATIENCE: Final = 10.0
"""Seconds of retries for the last rows, after the stream has ended or was interrupted."""

_TRANSIENT: Final = frozenset({Code.NODE_NOT_RUNNING, Code.DEADLINE, Code.STORE_FAILED})
"""Errors that a retry may not meet again."""

_Item: TypeAlias = IngestRow | RejectedRow | BaseException | None
"""A row, or what ended the stream: an error, or None for its regular end."""


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """The report of a stream, and the error that ended it early, if there was one."""

    report: IngestReport
    failure: BaseException | None = None


def ingest_stream(
    sink: IndicatorSink, source: BinaryIO, list_format: Format | None, defaults: RowDefaults
) -> StreamOutcome:
    """Ingest a stream until it ends, or until SIGINT or SIGTERM.

    After a first signal the rows that were read are still sent; a second signal gives them up.
    """
    rows: queue.Queue[_Item] = queue.Queue(_BATCH)
    reading = (_UnbufferedSource(source), list_format, defaults, rows)
    threading.Thread(target=_read, args=reading, daemon=True).start()
    report = IngestReport()
    with _interruptible() as stopping:
        retrying = _RetryingSink(sink, stopping)
        batches = _RowBatches(rows, stopping)
        while True:
            good, bad = batches.next()
            report += IngestReport(rejected=tuple(bad), rejected_total=len(bad))
            if good:
                try:
                    report += retrying.ingest(good, batches.ended)
                except MandorlaError as error:
                    lost = len(good) + batches.give_up()
                    detail = f"{lost:,} rows that were read were not ingested, from line {good[0].line:,} on."
                    failure = NodeError(error.code, f"{error.detail} {detail}".strip())
                    return StreamOutcome(report, failure)
            if batches.ended:
                return StreamOutcome(report, batches.failure)


class _UnbufferedSource:
    """A source whose reads return the bytes that have arrived, and do not wait for more."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        try:
            # The descriptor, not the buffer: the lock of a buffer that a thread waits in blocks the exit.
            self._descriptor: int | None = source.fileno()
        except OSError:
            self._descriptor = None

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        return self._source.read(size) if self._descriptor is None else os.read(self._descriptor, size)


def _read(
    source: Source, list_format: Format | None, defaults: RowDefaults, rows: queue.Queue[_Item]
) -> None:
    try:
        if list_format is None:
            list_format, source = format_from_content(source)
        for row in read_rows(source, list_format, defaults):
            rows.put(row)
    except BaseException as error:
        rows.put(error)
    else:
        rows.put(None)


class _RowBatches:
    """Batches of the rows in a queue."""

    def __init__(self, rows: queue.Queue[_Item], stopping: threading.Event) -> None:
        self._rows = rows
        self._stopping = stopping
        self.ended = False
        self.failure: BaseException | None = None

    def next(self) -> tuple[list[IngestRow], list[RejectedRow]]:
        """Wait for a row, and a moment for others; return them, or no row at the end of the stream."""
        good: list[IngestRow] = []
        bad: list[RejectedRow] = []
        leaves: float | None = None
        while len(good) + len(bad) < _BATCH and not self.ended:
            wait = _POLL if leaves is None else min(_POLL, leaves - time.monotonic())
            if wait <= 0:
                break
            try:
                # Rows that were read before an interruption are still ingested.
                item = self._rows.get_nowait() if self._stopping.is_set() else self._rows.get(timeout=wait)
            except queue.Empty:
                self.ended = self._stopping.is_set()
                continue
            match item:
                case IngestRow():
                    good.append(item)
                case RejectedRow():
                    bad.append(item)
                case _:
                    self.ended, self.failure = True, item
            leaves = leaves or time.monotonic() + _BATCH_WAIT
        return good, bad

    def give_up(self) -> int:
        """Empty the queue; return the number of rows that were in it."""
        rows = 0
        while not self._rows.empty():
            rows += isinstance(self._rows.get(), IngestRow)
        return rows


class _RetryingSink:
    """A sink that repeats an ingest for as long as its error may pass."""

    def __init__(self, sink: IndicatorSink, stopping: threading.Event) -> None:
        self._sink = sink
        self._stopping = stopping
        self._waiting = False

    def ingest(self, rows: Sequence[IngestRow], last: bool) -> IngestReport:
        """Ingest rows, however long that takes; for a limited time if they are the stream's last.

        Raises MandorlaError if a retry cannot succeed, or the time is over.
        """
        backoff = Backoff(_FIRST_RETRY, _LONGEST_RETRY)
        gives_up: float | None = None
        while True:
            try:
                report = self._sink.ingest(rows)
            except MandorlaError as error:
                now = time.monotonic()
                if (last or self._stopping.is_set()) and gives_up is None:
                    gives_up = now + _LAST_PATIENCE
                if error.code not in _TRANSIENT or (gives_up is not None and now >= gives_up):
                    raise
                self._report_waiting(True, f"Rows wait. {error.diagnostics()}")
            else:
                self._report_waiting(False, "Rows are ingested again.")
                return report
            if self._stopping.is_set():
                time.sleep(_FIRST_RETRY)
            else:
                self._stopping.wait(backoff.next())

    def _report_waiting(self, waiting: bool, message: str) -> None:
        """Print a message when rows begin to wait, and when they no longer do."""
        if waiting is not self._waiting:
            self._waiting = waiting
            console(stderr=True).print(safe(message), style="dim")


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let the first SIGINT or SIGTERM set the event, and the second raise KeyboardInterrupt."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield stopping
    finally:
        for number, handler in before:
            signal.signal(number, handler)
