"""Key epochs and tag tables of this lab as a holder, made ready before a peer is told of them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import ParamSpec, TypeVar

from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, MandorlaError, RoundError
from mandorla_protocol.header import Offer
from mandorla_protocol.oprf import KeyPair
from mandorla_protocol.sizes import PAGE_SIZE
from mandorla_protocol.table import Operation, padding

from . import workers
from .settings import RoundPolicy
from .store import Additions, FlagState, HeldEpoch, OwnedPart, Store
from .store.staging import owned, sorted_part
from .workers import Workers

_BATCH = 4_096
_SEED_SIZE = 32
_ADDS = Operation.ADD.to_bytes(1, "big")
_REVOKES = Operation.REVOKE.to_bytes(1, "big")

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
        until = await asyncio.to_thread(holding.flag_state)
        version = _Version(self._store, held, until)
        await self._stage_additions(ready, version)
        await self._stage_revocations(ready, version)
        if not version.count and held.commitment.version:
            await _to_the_end(holding.cover, held, until)
            return False
        await _to_the_end(version.publish)
        return True

    async def _stage_additions(self, ready: Ready, version: _Version) -> None:
        additions = self._store.holding.additions
        last: Additions | None = None

        async def following() -> Awaitable[None] | None:
            nonlocal last
            last = await asyncio.to_thread(additions, ready.held, version.until, last, _BATCH)
            return None if last is None else self._add(ready, version, last)

        await self._side_by_side(following)

    async def _add(self, ready: Ready, version: _Version, batch: Additions) -> None:
        tags, sealed = await self._pool.run(
            workers.hold, ready.keys, ready.held.epoch, version.number, batch.tokens, batch.labels
        )
        owners = batch.indicator_ids
        entries = owned(version.number, _ADDS * len(owners), tags, sealed, owners)
        await _to_the_end(version.keep, entries)

    async def _stage_revocations(self, ready: Ready, version: _Version) -> None:
        revocations = self._store.holding.revocations
        after = 0

        async def following() -> Awaitable[None] | None:
            nonlocal after
            owners, tokens = await asyncio.to_thread(revocations, ready.held, version.until, after, _BATCH)
            if not owners:
                return None
            after = owners[-1]
            return self._revoke(ready, version, owners, tokens)

        await self._side_by_side(following)

    async def _revoke(self, ready: Ready, version: _Version, owners: list[int], tokens: bytes) -> None:
        tags = await self._pool.run(workers.own_tags, ready.keys, tokens)
        entries = owned(version.number, _REVOKES * len(owners), tags, b"", owners)
        await _to_the_end(version.keep, entries)

    async def _side_by_side(self, following: Callable[[], Awaitable[Awaitable[None] | None]]) -> None:
        """Run what follows, until nothing does: a batch for each worker, and one that waits."""
        tasks: set[asyncio.Task[None]] = set()
        failed: MandorlaError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                while (batch := await following()) is not None:
                    tasks.add(group.create_task(_awaited(batch)))
                    if len(tasks) > self._pool.count:
                        _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except* MandorlaError as errors:
            # One of them, as everybody expects who calls this: a group would be an unknown failure to all.
            failed = next(_single(errors))
        if failed is not None:
            raise failed


class _Version:
    """A version while it is prepared: in memory while it fits a page, and in the store from then on."""

    def __init__(self, store: Store, held: HeldEpoch, until: FlagState) -> None:
        self._holding = store.holding
        self._held = held
        self.until = until
        self.number = held.commitment.version + 1
        self.count = 0
        self._small: list[OwnedPart] = []
        self._lock = threading.Lock()

    def keep(self, entries: OwnedPart) -> None:
        """Take entries, in any order; threads may do so side by side."""
        with self._lock:
            small = self.count <= PAGE_SIZE
            self.count += len(entries.part)
            if small:
                self._small.append(entries)
            if self.count <= PAGE_SIZE:
                return
            staged, self._small = (self._small, []) if small else ([entries], self._small)
        for part in staged:
            self._holding.stage(self._held, part)

    def publish(self) -> None:
        """Pad the version to its size class, and let it be part of the table."""
        random_entries = padding(self.count, os.urandom)
        while page := list(islice(random_entries, PAGE_SIZE)):
            tags, sealed = map(b"".join, zip(*page, strict=True))
            self.keep(owned(self.number, _ADDS * len(page), tags, sealed, [0] * len(page)))
        frontier = self._held.frontier
        if self._small:
            page_of_all = sorted_part(self._small, self.number)
            frontier = page_of_all.part.append_to(frontier)
            self._holding.publish(self._held, frontier, self.until, [page_of_all])
            return
        for one in self._holding.staged(self._held, PAGE_SIZE):
            self._holding.add_page(self._held, frontier.size, one)
            frontier = one.part.append_to(frontier)
        self._holding.publish(self._held, frontier, self.until)


async def _awaited(batch: Awaitable[None]) -> None:
    await batch


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
