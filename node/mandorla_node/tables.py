"""Key epochs and tag tables of this lab as a holder, made ready before a peer is told of them."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from mandorla_protocol.engine import split
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, MandorlaError, RoundError
from mandorla_protocol.header import Offer
from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE, Tag
from mandorla_protocol.oprf import KeyPair
from mandorla_protocol.sizes import PAGE_SIZE
from mandorla_protocol.table import Operation, padding

from . import workers
from .settings import RoundPolicy
from .store import Addition, HeldEpoch, StagedEntry, Store
from .workers import Workers

_BATCH = 4_096
_SEED_SIZE = 32
_ADD = int(Operation.ADD)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Ready:
    """An epoch whose table holds everything that is flagged now."""

    held: HeldEpoch
    seed: bytes
    keys: KeyPair

    def __repr__(self) -> str:
        """Show the epoch's id only, so that no log or traceback holds a secret."""
        return f"Ready(epoch_id={self.held.id})"


class Tables:
    """Prepare epochs and tables, one at a time for each peer and collection."""

    def __init__(self, lab: LabId, store: Store, pool: Workers, policy: RoundPolicy) -> None:
        self._lab = lab
        self._store = store
        self._pool = pool
        self._policy = policy
        self._locks: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(self, querier: LabId, collection: str) -> Ready:
        """Bring the table for a querier up to date, in a new epoch if there is none."""
        async with self._locks[querier, collection]:
            ready = await self.epoch(querier, collection)
            if await self._add_version(ready):
                held = await asyncio.to_thread(self._store.holding.get, ready.held.epoch)
                ready = Ready(held, ready.seed, ready.keys)
            return ready

    async def settled(self) -> None:
        """Wait until nothing is being prepared; whoever waits for it was cancelled before."""
        for lock in list(self._locks.values()):
            async with lock:
                pass

    def offer(self, ready: Ready) -> Offer:
        """Say what a prepared epoch offers; raises RoundError(BUDGET_EXCEEDED) if nothing is left."""
        held = ready.held
        left = held.budget - held.spent
        if left <= 0:
            raise RoundError(Code.BUDGET_EXCEEDED)
        return Offer(
            epoch_number=held.epoch.number,
            public_key=ready.keys.public,
            budget=held.budget,
            cap=min(self._policy.cap, left),
            table=held.commitment,
        )

    async def epoch(self, querier: LabId, collection: str) -> Ready:
        """Return the epoch in use, or begin one; its table is as it was left."""
        holding = self._store.holding
        held = await asyncio.to_thread(holding.current, self._lab, querier, collection)
        if held is None:
            number = await asyncio.to_thread(holding.next_number, querier, collection)
            epoch, seed = Epoch(self._lab, querier, collection, number), os.urandom(_SEED_SIZE)
            keys = await self._pool.run(workers.derive_keys, seed, epoch)
            terms = (self._policy.budget, self._policy.epoch_lifetime)
            held = await _to_the_end(holding.create, epoch, seed, keys.public, *terms)
            return Ready(held, seed, keys)
        seed = holding.seed(held)
        return Ready(held, seed, await self._pool.run(workers.derive_keys, seed, held.epoch))

    async def _add_version(self, ready: Ready) -> bool:
        """Append what was flagged or expired since the last version; say whether there was anything."""
        held, holding = ready.held, self._store.holding
        await _to_the_end(holding.discard_staged, held)
        await self._stage_additions(ready)
        staged = await _to_the_end(holding.stage_revocations, held)
        if not staged and held.commitment.version:
            return False
        await _to_the_end(self._finish_version, held, staged)
        return True

    async def _stage_additions(self, ready: Ready) -> None:
        held, holding = ready.held, self._store.holding
        after = 0
        tasks: set[asyncio.Task[None]] = set()
        failed: MandorlaError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                while batch := await asyncio.to_thread(holding.additions, held, after, _BATCH):
                    after = batch[-1].indicator_id
                    tasks.add(group.create_task(self._stage_batch(ready, batch)))
                    if len(tasks) > self._pool.count:
                        _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except* MandorlaError as errors:
            # One of them, as everybody expects who calls this: a group would be an unknown failure to all.
            failed = next(_single(errors))
        if failed is not None:
            raise failed

    async def _stage_batch(self, ready: Ready, batch: list[Addition]) -> None:
        held = ready.held
        tags, sealed = await self._pool.run(
            workers.hold,
            ready.keys,
            held.epoch,
            held.commitment.version + 1,
            b"".join(addition.token for addition in batch),
            [addition.label for addition in batch],
        )
        await _to_the_end(self._keep, held, batch, tags, sealed)

    def _keep(self, held: HeldEpoch, batch: list[Addition], tags: bytes, sealed: bytes) -> None:
        columns = zip(batch, split(tags, TAG_SIZE), split(sealed, SEALED_LABEL_SIZE), strict=True)
        entries = [
            StagedEntry(Tag(tag), _ADD, label, addition.indicator_id, addition.revision)
            for addition, tag, label in columns
        ]
        self._store.holding.stage(held, entries)

    def _finish_version(self, held: HeldEpoch, staged: int) -> None:
        holding = self._store.holding
        random_entries = padding(staged, os.urandom)
        while page := [
            StagedEntry(tag, _ADD, sealed) for tag, sealed in itertools.islice(random_entries, PAGE_SIZE)
        ]:
            holding.stage(held, page)
        frontier = held.frontier
        for part in holding.staged(held, PAGE_SIZE):
            holding.add_page(held, frontier.size, part)
            frontier = part.append_to(frontier)
        holding.publish(held, frontier)


async def _to_the_end(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run what writes in a thread; who is cancelled meanwhile waits for it, and keeps the lock so long.

    A thread cannot be stopped, and beside one that finishes a version no other may be begun.
    """
    running = asyncio.create_task(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise


def _single(errors: BaseExceptionGroup[MandorlaError]) -> Iterator[MandorlaError]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _single(error)
        else:
            yield error
