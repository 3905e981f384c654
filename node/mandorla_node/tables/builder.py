"""Key epochs and tag tables of this lab as a holder, made ready before a peer is told of them."""

from __future__ import annotations

import asyncio
import os
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
from mandorla_protocol.sizes import BATCH_SMALLEST, PAGE_SIZE
from mandorla_protocol.table import Operation, padding

from ..crypto import workers
from ..crypto.workers import Workers
from ..peers.policy import Policies
from ..store import Additions, FlagState, HeldEpoch, Store
from ..store.version_builder import VersionBuilder, owned

_BATCH = 4_096
_SEED_SIZE = 32
_ADDS = Operation.ADD.to_bytes(1, "big")
_REVOKES = Operation.REVOKE.to_bytes(1, "big")

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PreparedEpoch:
    """An epoch whose table holds everything that is flagged now."""

    held: HeldEpoch
    seed: bytes
    keys: KeyPair

    def __repr__(self) -> str:
        """Show the epoch's id only, so that no log or traceback holds a secret."""
        return f"Ready(epoch_id={self.held.id})"


class TableBuilder:
    """Prepare epochs and tables, one at a time for each peer and collection."""

    def __init__(self, lab: LabId, store: Store, pool: Workers, policies: Policies) -> None:
        self._lab = lab
        self._store = store
        self._pool = pool
        self._policies = policies
        self._locks: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(self, querier: LabId, collection: str, smallest: int = BATCH_SMALLEST) -> PreparedEpoch:
        """Bring the table for a querier up to date, in a new epoch if there is none.

        `smallest` is the least size class of a version that is added to one that there is.
        """
        async with self._locks[querier, collection]:
            ready = await self.current_epoch(querier, collection)
            if await self._add_version(ready, smallest):
                held = await asyncio.to_thread(self._store.holder.get, ready.held.epoch)
                ready = PreparedEpoch(held, ready.seed, ready.keys)
            return ready

    async def wait_until_idle(self) -> None:
        """Wait until nothing is being prepared; whoever waits for it was cancelled before."""
        for lock in list(self._locks.values()):
            async with lock:
                pass

    def offer(self, ready: PreparedEpoch) -> Offer:
        """Say what a prepared epoch offers; raises RoundError(BUDGET_EXCEEDED) if nothing is left."""
        held = ready.held
        left = held.budget - held.spent
        if left <= 0:
            raise RoundError(Code.BUDGET_EXCEEDED)
        return Offer(
            epoch_number=held.epoch.number,
            public_key=ready.keys.public,
            budget=held.budget,
            cap=min(self._policies.of_lab(held.epoch.querier, held.epoch.collection).cap, left),
            table=held.commitment,
        )

    async def current_epoch(self, querier: LabId, collection: str) -> PreparedEpoch:
        """Return the epoch in use, or begin one; its table is as it was left.

        An epoch whose budget is spent ends before its time, if it has lasted as long as policy asks: the
        budget bounds what a peer learns in a time, and not only under a key.
        """
        holding = self._store.holder
        held = await asyncio.to_thread(holding.current, self._lab, querier, collection)
        policy = await asyncio.to_thread(self._policies.of_lab, querier, collection)
        if held is None or holding.is_spent(held, policy.epoch_shortest):
            number = await asyncio.to_thread(holding.next_number, querier, collection)
            epoch, seed = Epoch(self._lab, querier, collection, number), os.urandom(_SEED_SIZE)
            keys = await self._pool.run(workers.derive_keys, seed, epoch)
            terms = (policy.budget, policy.epoch_lifetime)
            held = await _to_the_end(holding.create, epoch, seed, keys.public, *terms)
            return PreparedEpoch(held, seed, keys)
        seed = holding.seed(held)
        return PreparedEpoch(held, seed, await self._pool.run(workers.derive_keys, seed, held.epoch))

    async def _add_version(self, ready: PreparedEpoch, smallest: int) -> bool:
        """Append what was flagged or expired since the last version; say whether there was anything."""
        held, holding = ready.held, self._store.holder
        await _to_the_end(holding.discard_unpublished, held)
        until = await asyncio.to_thread(holding.flag_state)
        with holding.build_version(held) as version:
            await self._stage_additions(ready, until, version)
            await self._stage_revocations(ready, until, version)
            if version.count or not held.commitment.version:
                least = smallest if held.commitment.version else BATCH_SMALLEST
                await _to_the_end(self._publish, held, until, version, least)
                return True
        await _to_the_end(holding.record_coverage, held, until)
        return False

    async def _stage_additions(self, ready: PreparedEpoch, until: FlagState, version: VersionBuilder) -> None:
        additions = self._store.holder.additions
        last: Additions | None = None

        async def following() -> Awaitable[None] | None:
            nonlocal last
            last = await asyncio.to_thread(additions, ready.held, until, last, _BATCH)
            return None if last is None else self._add(ready, version, last)

        await self._side_by_side(following)

    async def _add(self, ready: PreparedEpoch, version: VersionBuilder, batch: Additions) -> None:
        tags, sealed = await self._pool.run(
            workers.hold, ready.keys, ready.held.epoch, version.version, batch.tokens, batch.labels
        )
        owners = batch.indicator_ids
        entries = owned(version.version, _ADDS * len(owners), tags, sealed, owners)
        await _to_the_end(version.keep, entries)

    async def _stage_revocations(
        self, ready: PreparedEpoch, until: FlagState, version: VersionBuilder
    ) -> None:
        revocations = self._store.holder.revocations
        after = 0

        async def following() -> Awaitable[None] | None:
            nonlocal after
            owners, tokens = await asyncio.to_thread(revocations, ready.held, until, after, _BATCH)
            if not owners:
                return None
            after = owners[-1]
            return self._revoke(ready, version, owners, tokens)

        await self._side_by_side(following)

    async def _revoke(
        self, ready: PreparedEpoch, version: VersionBuilder, owners: list[int], tokens: bytes
    ) -> None:
        tags = await self._pool.run(workers.own_tags, ready.keys, tokens)
        entries = owned(version.version, _REVOKES * len(owners), tags, b"", owners)
        await _to_the_end(version.keep, entries)

    def _publish(self, held: HeldEpoch, until: FlagState, version: VersionBuilder, smallest: int) -> None:
        """Pad a version to its size class, and let it be part of the table."""
        holding = self._store.holder
        random_entries = padding(version.count, os.urandom, smallest)
        while page := list(islice(random_entries, PAGE_SIZE)):
            tags, sealed = map(b"".join, zip(*page, strict=True))
            version.keep(owned(version.version, _ADDS * len(page), tags, sealed, [0] * len(page)))
        frontier = held.frontier
        pages = version.pages()
        last = next(pages)
        for following in pages:
            holding.add_page(held, frontier.size, last)
            frontier = last.part.append_to(frontier)
            last = following
        holding.publish(held, last.part.append_to(frontier), until, [last])

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
