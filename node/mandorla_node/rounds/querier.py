"""The querier's half of a round, driven: `session.querier` decides, this performs its effects (SPEC 10.1)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from mandorla.v1 import exchange_pb2
from mandorla_protocol.engine import TOKEN_SIZE, ElementBatch
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import RoundHeader, RoundKind
from mandorla_protocol.labels import Label, open_labels
from mandorla_protocol.session import querier
from mandorla_protocol.session.querier import QuerierState
from mandorla_protocol.table import TablePart, TableReader

from ..crypto import workers
from ..peers import messages
from ..peers.client import PeerClient
from ..store import IndicatorSet, PeerEpoch
from .context import RoundContext

_RECORDED: Final = 16_384
"""Matches that one transaction records, up to a page more."""

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, what is done of it, and how much there is to do."""


def no_progress(_step: str, _done: int, _total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a comparison found: matches that hold, new matches, and labels that did not open."""

    matches: int = 0
    new_matches: int = 0
    bad_labels: int = 0


@dataclass(frozen=True, slots=True)
class _Blinded:
    indicator_ids: list[int]
    tokens: bytes
    blinds: bytes
    blinded: ElementBatch

    def __repr__(self) -> str:
        # Tokens reveal indicators to anybody who can guess them, and blinds reveal what was asked.
        return f"_Blinded(indicators={len(self.indicator_ids)})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a half is to do: the peer's key epoch, the last indicator to ask about, and the state to begin in.

    `change` is the last change of the observed set before the plan was made.
    """

    peer_epoch: PeerEpoch
    last: int
    state: QuerierState
    change: int


def _source(header: RoundHeader) -> IndicatorSet:
    return IndicatorSet.FLAGGED if header.kind is RoundKind.SHARED else IndicatorSet.OBSERVED


async def plan(header: RoundHeader, context: RoundContext) -> Plan:
    """Plan this lab's half, before the header is signed, and store nothing: the round may still be refused.

    Raises RoundError if the peer's key or table does not continue what this lab knows of them, if the table
    is larger than this lab reads, or if this lab has more to ask than the header allows.
    """
    store, holder = context.store.querier, header.other(context.lab)
    change = await asyncio.to_thread(store.last_observed)
    offer = holder.offer
    await context.workers.run(workers.decode_elements, offer.public_key)
    peer_epoch = await asyncio.to_thread(store.look_up, header.epoch(holder.lab), offer.public_key)
    if offer.table.size > context.settings.max_table:
        raise RoundError(Code.POLICY_REFUSED, "the peer's table is larger than this lab reads")
    reader = TableReader.resume(peer_epoch.verified, peer_epoch.frontier, offer.table)
    count, last = await asyncio.to_thread(store.count_untagged, peer_epoch, _source(header))
    return Plan(peer_epoch, last, querier.open_half(header, context.lab, count, reader), change)


class Querier:
    """This lab's half of one round as the querier."""

    def __init__(
        self, header: RoundHeader, plan: Plan, client: PeerClient, progress: Progress, context: RoundContext
    ) -> None:
        self._header = header
        self._peer_epoch = plan.peer_epoch
        self._last = plan.last
        self._state = plan.state
        self._holder = header.other(context.lab)
        self._store = context.store
        self._workers = context.workers
        self._client = client
        self._progress = progress
        self._source = _source(header)
        self._cursor = 0
        self._loading = asyncio.Lock()
        self._pending: dict[int, _Blinded] = {}
        # The call that reads the next page ahead, and the leaf that the page starts at.
        self._ahead: tuple[int, asyncio.Task[tuple[TablePart, ...]]] | None = None

    @property
    def state(self) -> QuerierState:
        """The state of the state machine."""
        return self._state

    @property
    def peer_epoch(self) -> PeerEpoch:
        """The peer's key epoch, under which this half asks."""
        return self._peer_epoch

    async def run(self) -> None:
        """Have the peer evaluate this lab's indicators, and read the peer's table.

        Raises MandorlaError if the peer fails, breaks the protocol, or cannot be reached.
        """
        self._peer_epoch = await asyncio.to_thread(self._store.querier.begin, self._peer_epoch)
        await self._drive(await self._step(querier.Started()))

    async def _drive(self, tasks: set[asyncio.Task[querier.Event]]) -> None:
        """Feed the state machine the events that tasks yield, one after another, until no task is left."""
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not task.cancelled():
                        tasks |= await self._step(task.result())
        finally:
            self._drop_ahead()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _step(self, event: querier.Event) -> set[asyncio.Task[querier.Event]]:
        """Advance the state machine, and begin its effects."""
        # A page of the table has thousands of entries to hash: a thread checks it.
        self._state, effects = await asyncio.to_thread(querier.step, self._state, event)
        self._show()
        tasks = set()
        for effect in effects:
            match effect:
                case querier.StageEntries(start, parts):
                    await asyncio.to_thread(self._store.querier.stage_entries, self._peer_epoch, start, parts)
                case querier.AcceptTable(reader):
                    await self._accept(reader)
                case querier.Blind(index, count):
                    tasks.add(asyncio.create_task(self._blind(index, count)))
                case querier.RequestEvaluation(index, blinded):
                    tasks.add(asyncio.create_task(self._evaluate(index, blinded)))
                case querier.Finalize():
                    tasks.add(asyncio.create_task(self._finalize(effect)))
                case querier.RequestPage(start):
                    tasks.add(asyncio.create_task(self._read(start)))
        return tasks

    async def _accept(self, reader: TableReader) -> None:
        self._peer_epoch = await asyncio.to_thread(self._store.querier.accept_table, self._peer_epoch, reader)

    async def _next(self, count: int) -> tuple[list[int], bytes]:
        """Return the next indicators to ask about, at most `count`: their ids, and their tokens, joined."""
        ids, tokens = await asyncio.to_thread(
            self._store.querier.untagged, self._peer_epoch, self._source, self._cursor, self._last, count
        )
        if ids:
            self._cursor = ids[-1]
        return ids, tokens

    async def _blind(self, index: int, count: int) -> querier.Event:
        async with self._loading:
            ids, tokens = await self._next(count)
        tokens += os.urandom(TOKEN_SIZE * (count - len(ids)))
        blinds, blinded = await self._workers.run(workers.blind, tokens)
        self._pending[index] = _Blinded(ids, tokens, blinds, blinded)
        return querier.ChunkBlinded(index, bytes(blinded))

    async def _evaluate(self, index: int, blinded: bytes) -> querier.Event:
        response = await self._client.evaluate(
            exchange_pb2.EvaluateRequest(round_id=self._header.round_id, index=index, blinded=blinded)
        )
        return querier.ChunkAnswered(index, response.evaluated, response.proof)

    async def _finalize(self, effect: querier.Finalize) -> querier.Event:
        chunk = self._pending[effect.index]
        tags, keys = await self._workers.run(
            workers.finalize_tags,
            self._holder.offer.public_key,
            chunk.tokens,
            chunk.blinds,
            chunk.blinded,
            effect.evaluated,
            effect.proof,
            len(chunk.indicator_ids),
        )
        del self._pending[effect.index]
        await asyncio.to_thread(
            self._store.querier.store_tags, self._peer_epoch, chunk.indicator_ids, tags, keys
        )
        return querier.ChunkFinalized(effect.index, effect.evaluated, effect.proof)

    async def _read(self, start: int) -> querier.Event:
        """Read a page, and request the next one while this page is checked and stored."""
        known, page = self._ahead or (start, None)
        if page is None or known != start:
            self._drop_ahead()
            page = asyncio.create_task(self._page(start))
            self._ahead = (start, page)
        parts = self._wanted(start, await page)
        following = start + sum(map(len, parts))
        self._ahead = None
        if start < following < self._state.reader.committed.size:
            self._ahead = (following, asyncio.create_task(self._page(following)))
        return querier.PageReceived(parts)

    def _wanted(self, _start: int, parts: tuple[TablePart, ...]) -> tuple[TablePart, ...]:
        """Return the parts of a page that this half reads: all, and the reader refuses too long a page."""
        return parts

    async def _page(self, start: int) -> tuple[TablePart, ...]:
        # Entries that are unread now: in a standing round there may be more when the page arrives.
        left = self._state.reader.committed.size - start
        response = await self._client.list_tags(
            exchange_pb2.ListTagsRequest(round_id=self._header.round_id, start=start)
        )
        return messages.parts_from(response, left)

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead[1].cancel()
            self._ahead = None

    def compare(self) -> Findings:
        """Compare own tags with the verified table, and record the matches; called in a thread.

        The more entries match, the longer this takes, so no message to the peer may wait for it. A label that
        does not open makes no match, and only this lab's operator learns of it: an error that the peer sees
        would reveal that this lab holds the indicator (SPEC 6.5).
        """
        peer, kind, collection = self._holder.lab, self._header.kind, self._header.collection
        matches = new_matches = bad_labels = 0
        for found, unopened in self._matches():
            alone, new = self._store.matches.record(peer, kind, collection, self._header.round_id, found)
            matches, new_matches, bad_labels = matches + alone, new_matches + new, bad_labels + unopened
        groups, new = self._store.matches.conclude(peer, kind, collection, self._header.round_id)
        return Findings(matches + groups, new_matches + new, bad_labels)

    def _matches(self) -> Iterator[tuple[list[tuple[int, Label]], int]]:
        """Yield own indicators that the peer's table has, with their labels, and the number of bad labels."""
        found: list[tuple[int, Label]] = []
        unopened = 0
        for page in self._store.matcher.candidates(self._peer_epoch, self._header.kind):
            labels = open_labels(
                page.sealed, page.label_keys, page.tags, self._peer_epoch.epoch, page.version
            )
            each = zip(page.indicator_ids, labels, strict=True)
            found += [(number, label) for number, label in each if label is not None]
            unopened += labels.count(None)
            if len(found) >= _RECORDED:
                # In the order of the store's index: by tag, each insert would visit a random page of it.
                yield sorted(found, key=itemgetter(0)), unopened
                found, unopened = [], 0
        yield sorted(found, key=itemgetter(0)), unopened

    def progress(self) -> tuple[str, int, int]:
        """Return the name of the step, how much of it is done, and how much there is to do."""
        state = self._state
        if state.phase is querier.Phase.EVALUATING:
            done = sum(state.counts[index] for index in state.answers)
            return "evaluating", done, sum(state.counts)
        return "reading", state.reader.position, state.reader.committed.size

    def _show(self) -> None:
        self._progress(*self.progress())
