"""Rows of a stream that may never end, on their way into the node as they come.

    reading     a thread reads rows, and stops reading while the node has not taken in those that it read
    gathering   rows leave together: after a moment, or when they are many
    feeding     each lot is an ingest of its own, which the node acknowledges; it is sent again until it has

So memory is bounded, however long the stream lasts, and what is not acknowledged is known.
"""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import BinaryIO, Final

from mandorla_protocol.errors import Code, MandorlaError, NodeError

from ..client import Client, node_answers
from ..formats import Format, IngestRow, RejectedRow, RowDefaults, read_rows
from ..formats.lines import Source
from ..home.folder import Home, HomeFolder
from ..ingest.ingestor import Ingestor
from ..ingest.report import IngestReport
from ..ingest.suppression import Suppressor
from ..store import IndicatorSet
from ..terminal import console, safe
from .batch_feed import SETS, sniffed

STREAMS: Final = frozenset({Format.PLAIN, Format.CSV, Format.JSONL})
"""Formats of which each line is a row; the others are documents, which have an end."""

_TOGETHER: Final = 2_000
_GATHERED: Final = 0.5
"""Seconds that a row waits for others, at most."""

_LOOK: Final = 0.2
_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 5.0
_LAST_PATIENCE: Final = 10.0
"""Seconds for the last rows, when the stream has ended or been interrupted."""

_MAY_PASS: Final = frozenset({Code.NODE_NOT_RUNNING, Code.DEADLINE, Code.STORE_FAILED})
"""What the next attempt may not meet."""

_Item = IngestRow | RejectedRow | BaseException | None
"""A row; or what ended the stream, None for its end."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """What became of the rows, and what ended the stream before its end, if anything did."""

    report: IngestReport
    failure: BaseException | None = None


def stream(
    home: HomeFolder,
    target: str,
    source: BinaryIO,
    written_as: Format | None,
    defaults: RowDefaults,
    suppress: bool = True,
) -> Streamed:
    """Ingest a stream until it ends, or SIGINT or SIGTERM do; a second one gives up what is not taken in."""
    rows: queue.Queue[_Item] = queue.Queue(_TOGETHER)
    reading = (_Arriving(source), written_as, defaults, rows)
    threading.Thread(target=_read, args=reading, daemon=True).start()
    report = IngestReport()
    with _interruptible() as stopping, _Feed(home, target, suppress, stopping) as feed:
        gathering = _Gathering(rows, stopping)
        while True:
            good, bad = gathering.next()
            report += IngestReport(rejected=tuple(bad), rejected_total=len(bad))
            if good:
                try:
                    report += feed.take(good, gathering.ended)
                except MandorlaError as error:
                    left = len(good) + gathering.give_up()
                    lost = f"{left:,} rows that were read were not taken in, from line {good[0].line:,} on."
                    return Streamed(report, NodeError(error.code, f"{error.detail} {lost}".strip()))
            if gathering.ended:
                return Streamed(report, gathering.failure)


class _Arriving:
    """A source that gives what has come, and does not wait until there is more of it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        try:
            # Not by its buffer: a thread that waits in there would keep this process from ending.
            self._descriptor: int | None = source.fileno()
        except OSError:
            self._descriptor = None

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        return self._source.read(size) if self._descriptor is None else os.read(self._descriptor, size)


def _read(source: Source, written_as: Format | None, defaults: RowDefaults, rows: queue.Queue[_Item]) -> None:
    try:
        if written_as is None:
            written_as, source = sniffed(source)
        for row in read_rows(source, written_as, defaults):
            rows.put(row)
    except BaseException as error:
        rows.put(error)
    else:
        rows.put(None)


class _Gathering:
    """Rows that leave together."""

    def __init__(self, rows: queue.Queue[_Item], stopping: threading.Event) -> None:
        self._rows = rows
        self._stopping = stopping
        self.ended = False
        self.failure: BaseException | None = None

    def next(self) -> tuple[list[IngestRow], list[RejectedRow]]:
        """Wait for rows, and for what comes within a moment after the first; none at the end."""
        good: list[IngestRow] = []
        bad: list[RejectedRow] = []
        leaves: float | None = None
        while len(good) + len(bad) < _TOGETHER and not self.ended:
            wait = _LOOK if leaves is None else min(_LOOK, leaves - time.monotonic())
            if wait <= 0:
                break
            try:
                # What was read before an interruption is still taken in.
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
            leaves = leaves or time.monotonic() + _GATHERED
        return good, bad

    def give_up(self) -> int:
        """Take what was read and not gathered out of the way; return how many rows that were."""
        left = 0
        while not self._rows.empty():
            left += isinstance(self._rows.get(), IngestRow)
        return left


class _Feed:
    """Where the rows go: into the node whenever one runs, into the store of one that does not."""

    def __init__(self, home: HomeFolder, target: str, suppress: bool, stopping: threading.Event) -> None:
        self._home = home
        self._target = target
        self._suppress = suppress
        self._stopping = stopping
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        self._opened: Home | None = None
        self._suppressor = Suppressor(home.path, home.settings.suppression)
        self._told = False

    def __enter__(self) -> _Feed:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._runner.run(self._client.__aexit__(None, None, None))
        self._runner.close()

    def take(self, rows: Sequence[IngestRow], last: bool) -> IngestReport:
        """Have rows taken in, however long that takes; for a while only, if they are the last.

        Raises MandorlaError if that fails for good.
        """
        wait = _FIRST_WAIT
        gives_up: float | None = None
        while True:
            try:
                report = self._once(rows)
            except MandorlaError as error:
                now = time.monotonic()
                if (last or self._stopping.is_set()) and gives_up is None:
                    gives_up = now + _LAST_PATIENCE
                if error.code not in _MAY_PASS or (gives_up is not None and now >= gives_up):
                    raise
                if not self._told:
                    self._say(f"Rows wait. {error.diagnostics()}")
            else:
                if self._told:
                    self._say("Rows are taken in again.")
                return report
            if self._stopping.is_set():
                time.sleep(_FIRST_WAIT)
            else:
                self._stopping.wait(wait)
            wait = min(_LONGEST_WAIT, 2 * wait)

    def _once(self, rows: Sequence[IngestRow]) -> IngestReport:
        if self._client is None and not node_answers(self._home.operator_socket):
            return self._into_store(rows)
        return self._runner.run(self._into_node(rows))

    async def _into_node(self, rows: Sequence[IngestRow]) -> IngestReport:
        if self._client is None:
            self._client = Client(self._home.operator_socket, patience=0)
        return await self._client.take(SETS[self._target], rows, self._suppress, "line")

    def _into_store(self, rows: Sequence[IngestRow]) -> IngestReport:
        into = IndicatorSet(self._target)
        suppressing = self._suppress and into is IndicatorSet.FLAGGED
        self._opened = self._opened or Home.open(self._home.path)
        store = self._opened.open_store()
        try:
            ingestor = Ingestor(store, into, suppression=self._suppressor.begin() if suppressing else None)
            ingestor.add(rows)
            return ingestor.finish()
        finally:
            store.close()

    def _say(self, what: str) -> None:
        self._told = not self._told
        console(stderr=True).print(safe(what), style="dim")


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let SIGINT and SIGTERM set the event, and interrupt if it is set."""
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
