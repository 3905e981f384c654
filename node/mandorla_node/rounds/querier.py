"""The querier's half of a round, driven: `session.querier` says what to do, and this does it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from mandorla.v1 import exchange_pb2
from mandorla_protocol.engine import TOKEN_SIZE, Batch
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
"""Matches that are recorded at once, or a page more."""

Progress = Callable[[str, int, int], None]
"""Called with the step's name, and how much of how much is done."""


def no_progress(_step: str, _done: int, _total: int) -> None:
    """Show nothing: nobody watches."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a half found: matches that hold, how many are new, and labels that did not open."""

    matches: int = 0
    new_matches: int = 0
    bad_labels: int = 0


@dataclass(frozen=True, slots=True)
class _Blinded:
    indicator_ids: list[int]
    tokens: bytes
    blinds: bytes
    blinded: Batch

    def __repr__(self) -> str:
        # Tokens are as good as indicators to whoever can guess, and blinds open what was asked.
        return f"_Blinded(indicators={len(self.indicator_ids)})"


class Querier:
    """This lab's half of one round as the querier."""

    def __init__(
        self, header: RoundHeader, client: PeerClient, progress: Progress, context: RoundContext
    ) -> None:
        self._header = header
        self._lab = context.lab
        self._holder = header.other(context.lab)
        self._store = context.store
        self._workers = context.workers
        self._client = client
        self._max_table = context.settings.max_table
        self._progress = progress
        self._source = IndicatorSet.FLAGGED if header.kind is RoundKind.SHARED else IndicatorSet.OBSERVED
        self._cursor = 0
        self._loading = asyncio.Lock()
        self._pending: dict[int, _Blinded] = {}
        # The call for the page that comes next, and the leaf that it starts at.
        self._ahead: tuple[int, asyncio.Task[tuple[TablePart, ...]]] | None = None

    async def open(self) -> None:
        """Plan the half, before the header is signed, and store nothing: the round may still be refused.

        Raises RoundError if the peer's epoch or table is not a continuation of what was seen, or if this lab
        has more to compare than the header allows.
        """
        offer = self._holder.offer
        epoch = self._header.epoch(self._holder.lab)
        await self._workers.run(workers.decode_elements, offer.public_key)
        self._peer_epoch = await asyncio.to_thread(self._store.querier.look_up, epoch, offer.public_key)
        if offer.table.size > self._max_table:
            raise RoundError(Code.POLICY_REFUSED, "the peer's table is larger than this lab reads")
        reader = TableReader.resume(self._peer_epoch.verified, self._peer_epoch.frontier, offer.table)
        count, self._last = await asyncio.to_thread(
            self._store.querier.count_untagged, self._peer_epoch, self._source
        )
        self._state = querier.open_half(self._header, self._lab, count, reader)

    @property
    def state(self) -> QuerierState:
        """The state machine's state."""
        return self._state

    @property
    def peer_epoch(self) -> PeerEpoch:
        """The peer's key epoch in which this half asks; it is stored once the half runs."""
        return self._peer_epoch

    async def run(self) -> None:
        """Have the indicators evaluated, and read the table.

        Raises MandorlaError if the peer fails, breaks the protocol, or cannot be reached.
        """
        self._peer_epoch = await asyncio.to_thread(self._store.querier.begin, self._peer_epoch)
        await self._drive(await self._step(querier.Started()))

    async def _drive(self, tasks: set[asyncio.Task[querier.Event]]) -> None:
        """Feed the state machine what tasks bring, one event after another, until there are none."""
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
        """Advance the state machine and begin what it asks for."""
        # Checking a page of the table hashes thousands of entries: off the event loop.
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
                case querier.SendEvaluate(index, blinded):
                    tasks.add(asyncio.create_task(self._evaluate(index, blinded)))
                case querier.Finalize():
                    tasks.add(asyncio.create_task(self._finalize(effect)))
                case querier.RequestPage(start):
                    tasks.add(asyncio.create_task(self._read(start)))
        return tasks

    async def _accept(self, reader: TableReader) -> None:
        self._peer_epoch = await asyncio.to_thread(self._store.querier.accept_table, self._peer_epoch, reader)

    async def _next(self, count: int) -> tuple[list[int], bytes]:
        """Return the indicators of the next chunk, at most `count`: ids, and tokens, joined."""
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
        """Read a page, and have the next one on its way while this one is checked and stored."""
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
        """Return what this half reads of a page: all of it, so that too long a page is refused."""
        return parts

    async def _page(self, start: int) -> tuple[TablePart, ...]:
        # What is unread by now: in a standing round it may be more when the page comes.
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
        """Compare own tags with the verified table, and record what matches.

        This takes longer the more there is to find, so nothing that the peer can time may wait for it. A
        label that does not open makes no match, and nobody but this lab's operator learns of it: an error
        that the peer can see would tell it that this lab holds the indicator (SPEC 6.5).
        """
        peer, kind, collection = self._holder.lab, self._header.kind, self._header.collection
        matches = new_matches = bad_labels = 0
        for found, unopened in self._said_of_own():
            alone, new = self._store.matches.record(peer, kind, collection, self._header.round_id, found)
            matches, new_matches, bad_labels = matches + alone, new_matches + new, bad_labels + unopened
        groups, new = self._store.matches.conclude(peer, kind, collection, self._header.round_id)
        return Findings(matches + groups, new_matches + new, bad_labels)

    def _said_of_own(self) -> Iterator[tuple[list[tuple[int, Label]], int]]:
        """Yield own indicators in the peer's table with their labels, and how many labels do not open."""
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
                # In the order of the store's index, which matches would otherwise visit at random.
                yield sorted(found, key=itemgetter(0)), unopened
                found, unopened = [], 0
        yield sorted(found, key=itemgetter(0)), unopened

    def progress(self) -> tuple[str, int, int]:
        """Return the step's name, and how much of how much is done."""
        state = self._state
        if state.phase is querier.Phase.EVALUATING:
            done = sum(state.counts[index] for index in state.answers)
            return "evaluating", done, sum(state.counts)
        return "reading", state.reader.position, state.reader.committed.size

    def _show(self) -> None:
        self._progress(*self.progress())
