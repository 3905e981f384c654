"""The querier's half of a standing round: the half of a batch round, and then all that is new.

Three tasks run side by side, and no message to the peer waits for a comparison:

    listening   reads each announcement of the holder, and the entries that it announces
    asking      has newly observed indicators evaluated, those together that come within a moment
    matching    compares new tags and new entries, in the order in which they came
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mandorla.v1 import exchange_pb2
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import RoundHeader, RoundKind
from mandorla_protocol.labels import Label, LabelKey, open_labels
from mandorla_protocol.session import querier
from mandorla_protocol.session.announcement import Announcement
from mandorla_protocol.session.querier import Phase
from mandorla_protocol.sizes import STANDING_SMALLEST, size_class
from mandorla_protocol.table import TableEntry, TablePart, TableReader

from ..core.token_bucket import TokenBucket
from ..peers.client import PeerClient
from ..store.live_matcher import LiveMatcher, MatchUpdate
from ..store.querier import NewlyObserved
from .context import RoundContext
from .pace import NEGLIGIBLE_WAIT
from .querier import Findings, Plan, Progress, Querier

SUBSCRIBED: Final = 20.0
"""Seconds for which a holder holds back the answer to Subscribe while its table does not grow."""

_BREATH: Final = 0.02
"""Least seconds between two calls to Subscribe."""

_BEHIND: Final = 1_000
"""Steps that matching may be behind. Beyond that, everything is compared again, which costs no more."""


@dataclass(slots=True)
class _Fresh:
    """What is new since the table was accepted last: pages by leaf, indicators with tags, and their extent.

    `until` is a change of the observed set, `version` a version of the peer's table.
    """

    pages: list[tuple[int, Sequence[TablePart]]] = field(default_factory=list)
    indicator_ids: list[int] = field(default_factory=list)
    until: int = 0
    version: int = 0

    def __repr__(self) -> str:
        return f"_Fresh(until={self.until}, version={self.version})"


class StandingQuerier(Querier):
    """This lab's half of one standing round as the querier."""

    def __init__(
        self,
        header: RoundHeader,
        plan: Plan,
        client: PeerClient,
        progress: Progress,
        context: RoundContext,
        lock: asyncio.Lock,
        pace: TokenBucket,
        report: Callable[[Findings], None],
    ) -> None:
        """Make a half that compares while it holds `lock`, and reports what it finds from any thread."""
        super().__init__(header, plan, client, progress, context)
        self._changes = context.changes
        self._timer = context.timer
        self._delay = context.watch.delay
        self._max_table = context.settings.max_table
        self._lock = lock
        self._pace = pace
        self._report = report
        self.leave = asyncio.Event()
        self.caught_up = asyncio.Event()
        # The change of the observed set up to which this lab has compared what it observed.
        self.processed = 0
        # The version of the peer's table up to which it has compared the entries.
        self.compared_version = 0
        self._findings: Findings | None = None
        # The change of the observed set up to which this lab has asked.
        self._seen = plan.change
        self._fresh = _Fresh(until=plan.change)
        # The indicators that are being asked about; and those that the asker found, until the state machine
        # has taken them in: other events may come between.
        self._waiting: NewlyObserved | None = None
        self._arrived: NewlyObserved | None = None
        self._taken = 0
        self._listener: asyncio.Task[querier.Event] | None = None
        self._asker: asyncio.Task[querier.Event] | None = None
        self._queue: asyncio.Queue[_Fresh] = asyncio.Queue()

    async def run(self) -> None:
        """Catch up with the holder, and continue until `leave` is set.

        Raises MandorlaError if the peer fails, breaks the protocol, or cannot be reached.
        """
        driving = asyncio.create_task(super().run())
        matching = asyncio.create_task(self._match())
        leaving = asyncio.create_task(self._left(driving))
        tasks = waiting = {driving, matching, leaving}
        try:
            while not leaving.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._stop_sources()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _left(self, driving: asyncio.Task[None]) -> None:
        """End the half once `leave` is set and everything that is being asked and read is compared."""
        await self.leave.wait()
        self._stop_sources()
        await asyncio.shield(driving)
        await self._queue.join()
        self._state, _ = querier.step(self._state, querier.StandingEnded())
        await asyncio.to_thread(self._store.querier.mark_finished, self._peer_epoch)

    def is_behind(self, until: int) -> bool:
        """Say whether an indicator that was observed up to a change is still to be compared.

        Indicators that the pace holds back do not count: the lab asks about them later.
        """
        held_back = self.processed >= self._seen and self._pace.wait > NEGLIGIBLE_WAIT
        return self.processed < until and not held_back

    def _sources(self) -> set[asyncio.Task[querier.Event]]:
        """Begin to listen if nothing is being read, and to look for new indicators if none is being asked.

        A task that has found something begins again only after `_step` has taken in what it found.
        """
        state = self._state
        begun: set[asyncio.Task[querier.Event]] = set()
        if state.phase is not Phase.STANDING or self.leave.is_set():
            return begun
        if state.reader.complete and self._listener is None:
            self._listener = asyncio.create_task(self._listen())
            begun.add(self._listener)
        asked = len(state.answers) == len(state.counts)
        if asked and self._waiting is None and self._asker is None:
            self._asker = asyncio.create_task(self._look())
            begun.add(self._asker)
        return begun

    def _stop_sources(self) -> None:
        for task in (self._listener, self._asker):
            if task is not None:
                task.cancel()

    async def _step(self, event: querier.Event) -> set[asyncio.Task[querier.Event]]:
        match event:
            case querier.PageReceived(parts) if self._state.phase is Phase.STANDING:
                self._fresh.pages.append((self._state.reader.position, parts))
            case querier.TableAnnounced():
                self._listener = None
            case querier.IndicatorsQueued():
                self._asker = None
                self._waiting, self._arrived, self._taken = self._arrived, None, 0
        tasks = await super()._step(event)
        return tasks | self._sources()

    def _wanted(self, start: int, parts: tuple[TablePart, ...]) -> tuple[TablePart, ...]:
        """Leave out entries that were announced since: they are read after the announcement (SPEC 19.2)."""
        wanted, left = [], self._state.reader.committed.size - start
        for part in parts:
            if left > 0:
                wanted.append(part.cut(0, left))
            left -= len(part)
        return tuple(wanted)

    async def _listen(self) -> querier.Event:
        """Wait for an announcement of a table that extends the one that was read."""
        known = self._state.reader.committed
        while True:
            # A holder that always answers at once would keep both labs busy.
            await asyncio.sleep(_BREATH)
            request = exchange_pb2.SubscribeRequest(round_id=self._header.round_id, version=known.version)
            response = await self._client.subscribe(request, SUBSCRIBED)
            if response.leave:
                self.leave.set()
            if not response.encoded_announcement:
                continue
            announcement = Announcement.decode(response.encoded_announcement)
            table = announcement.require_of(self._header.digest())
            table.require_extends(known)
            if table.size > self._max_table:
                raise RoundError(Code.POLICY_REFUSED, "the peer's table is larger than this lab reads")
            if table.size - known.size < STANDING_SMALLEST * (table.version - known.version):
                raise RoundError(Code.BAD_TABLE, "a version is smaller than the smallest class")
            if table != known:
                return querier.TableAnnounced(table)

    async def _look(self) -> querier.Event:
        """Wait for an observed indicator that has no tag yet, and for those that come within a moment."""
        while True:
            # While the pace forbids a question, new indicators gather, and the next question has them all.
            await self._timer.sleep(self._pace.wait)
            seen = self._changes.observed.count
            until = await asyncio.to_thread(self._store.querier.last_observed)
            if until > self._seen:
                found = await asyncio.to_thread(
                    self._store.querier.newly_observed, self._peer_epoch, self._seen, until
                )
                if found.indicator_ids:
                    padded = size_class(len(found.indicator_ids), STANDING_SMALLEST)
                    if sum(self._state.counts) + padded > self._holder.offer.cap:
                        # The cap of this round is spent: the next round asks, if the budget allows it.
                        self.leave.set()
                        await asyncio.Event().wait()
                    self._pace.overdraw(padded)
                    self._seen, self._arrived = until, found
                    return querier.IndicatorsQueued(len(found.indicator_ids))
                self._seen = until
                self._queue.put_nowait(_Fresh(indicator_ids=found.tagged, until=until))
            await self._changes.observed.wait_beyond(seen)
            await asyncio.sleep(self._delay)

    async def _next(self, count: int) -> tuple[list[int], bytes]:
        if self._waiting is None:
            return await super()._next(count)
        start, self._taken = self._taken, self._taken + count
        ids = self._waiting.indicator_ids[start : start + count]
        return ids, self._waiting.tokens[start * 32 : (start + len(ids)) * 32]

    async def _accept(self, reader: TableReader) -> None:
        standing = self._state.phase is Phase.STANDING
        accept = self._store.querier.accept_table
        self._peer_epoch = await asyncio.to_thread(accept, self._peer_epoch, reader, standing)
        fresh, self._fresh = self._fresh, _Fresh()
        fresh.version = reader.version
        if self._waiting is not None:
            fresh.indicator_ids = self._waiting.indicator_ids + self._waiting.tagged
            fresh.until = self._seen
            self._waiting = None
        self._queue.put_nowait(fresh)

    async def _match(self) -> None:
        """Compare everything once, and then what is new; no message waits for this."""
        index: LiveMatcher | None = None
        while True:
            fresh = await self._queue.get()
            try:
                until, version = fresh.until, fresh.version
                if index is None or self._queue.qsize() > _BEHIND:
                    index, later, version = await self._compare_all()
                    until = max(until, later)
                elif found := await asyncio.to_thread(self._take_in, index, fresh):
                    self._changes.invalidate(found)
            finally:
                self._queue.task_done()
            self.processed = max(self.processed, until)
            self.compared_version = max(self.compared_version, version)
            self._changes.progressed.advance()

    async def _compare_all(self) -> tuple[LiveMatcher, int, int]:
        """Compare as after a batch round.

        Return the index that later steps extend, and what was compared: a change of the observed set, and a
        version of the peer's table.
        """
        until = 0
        async with self._lock:
            while not self._queue.empty():
                # These entries and tags are in the store already, and are compared with the rest.
                until = max(until, self._queue.get_nowait().until)
                self._queue.task_done()
            asked = self._peer_epoch
            self._findings = await asyncio.to_thread(super().compare)
            self._report(self._findings)
            index = await asyncio.to_thread(self._store.live_matcher, asked)
            await asyncio.to_thread(self._end_revoked, index)
        self._changes.invalidate(None)
        self.caught_up.set()
        return index, until, asked.verified.version

    def _end_revoked(self, index: LiveMatcher) -> None:
        """End matches that `shared` rounds found and that the table has revoked since."""
        if revoked := index.revoked(self._store.matches.indicator_ids(self._holder.lab, RoundKind.SHARED)):
            self._record(MatchUpdate([], revoked))

    def _take_in(self, index: LiveMatcher, fresh: _Fresh) -> set[int]:
        """Record the matches of what is new; return the indicators about which something changed."""
        changed = set(fresh.indicator_ids)
        for leaf, parts in fresh.pages:
            changed |= self._record(index.add_entries(leaf, parts))
        if fresh.indicator_ids:
            self._record(index.add_own_indicators(fresh.indicator_ids))
        return changed

    def _record(self, found: MatchUpdate) -> set[int]:
        opened = [
            (number, label)
            for number, key, entry in found.added
            if (label := self._opened(key, entry)) is not None
        ]
        matches = new_matches = 0
        if opened or found.revoked:
            peer, kind, collection = self._holder.lab, self._header.kind, self._header.collection
            matches, new_matches = self._store.matches.renew(
                peer, kind, collection, self._header.round_id, opened, found.revoked
            )
        self._report(Findings(matches, new_matches, len(found.added) - len(opened)))
        return {number for number, _ in opened} | set(found.revoked)

    def _opened(self, key: LabelKey, entry: TableEntry) -> Label | None:
        (label,) = open_labels(entry.sealed, key, entry.tag, self._peer_epoch.epoch, entry.version)
        return label

    def progress(self) -> tuple[str, int, int]:
        """Return the name of the step and how much of it is done; a half that stands has no end to reach."""
        return ("standing", 0, 0) if self._state.phase is Phase.STANDING else super().progress()

    def compare(self) -> Findings:
        """Return what was found when this lab had caught up; later matches were recorded as they came."""
        if self._findings is None:
            self._findings = super().compare()
        return self._findings
