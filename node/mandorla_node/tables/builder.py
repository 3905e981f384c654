"""The key epochs and tag tables of this lab as a holder, prepared before the lab offers them to a peer."""

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
    """A key epoch with its seed and keys. `prepare` returns one whose table shows the current flagged set."""

    held: HeldEpoch
    seed: bytes
    keys: KeyPair

    def __repr__(self) -> str:
        """Show the id only: logs and tracebacks must not hold the seed or the keys."""
        return f"PreparedEpoch(epoch_id={self.held.id})"


class TableBuilder:
    """Prepare epochs and tables: for each querier and collection, one preparation at a time."""

    def __init__(self, lab: LabId, store: Store, pool: Workers, policies: Policies) -> None:
        self._lab = lab
        self._store = store
        self._pool = pool
        self._policies = policies
        self._locks: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(self, querier: LabId, collection: str, smallest: int = BATCH_SMALLEST) -> PreparedEpoch:
        """Bring the table for a querier up to date, in a new epoch if the querier has none.

        `smallest` is the smallest size class of a version after the first.
        """
        async with self._locks[querier, collection]:
            prepared = await self.current_or_new_epoch(querier, collection)
            if await self._add_version(prepared, smallest):
                held = await asyncio.to_thread(self._store.holder.get, prepared.held.epoch)
                prepared = PreparedEpoch(held, prepared.seed, prepared.keys)
            return prepared

    async def wait_until_idle(self) -> None:
        """Wait until no preparation runs. The caller has cancelled the tasks that wait for one."""
        for lock in list(self._locks.values()):
            async with lock:
                pass

    def offer(self, prepared: PreparedEpoch) -> Offer:
        """Return the offer of an epoch; raises RoundError(BUDGET_EXCEEDED) if its budget is spent."""
        held = prepared.held
        remaining = held.budget - held.spent
        if remaining <= 0:
            raise RoundError(Code.BUDGET_EXCEEDED)
        return Offer(
            epoch_number=held.epoch.number,
            public_key=prepared.keys.public,
            budget=held.budget,
            cap=min(self._policies.of_lab(held.epoch.querier, held.epoch.collection).cap, remaining),
            table=held.commitment,
        )

    async def current_or_new_epoch(self, querier: LabId, collection: str) -> PreparedEpoch:
        """Return the current epoch, or begin a new one; do not update its table.

        An epoch whose budget is spent ends early, but not before the policy's shortest lifetime: the budget
        must bound what a peer learns in a time, not only under one key.
        """
        holder = self._store.holder
        held = await asyncio.to_thread(holder.current, self._lab, querier, collection)
        policy = await asyncio.to_thread(self._policies.of_lab, querier, collection)
        if held is None or holder.is_spent(held, policy.epoch_shortest):
            number = await asyncio.to_thread(holder.next_number, querier, collection)
            epoch, seed = Epoch(self._lab, querier, collection, number), os.urandom(_SEED_SIZE)
            keys = await self._pool.run(workers.derive_keys, seed, epoch)
            terms = (policy.budget, policy.epoch_lifetime)
            held = await _to_thread_uncancelled(holder.create, epoch, seed, keys.public, *terms)
            return PreparedEpoch(held, seed, keys)
        seed = holder.seed(held)
        return PreparedEpoch(held, seed, await self._pool.run(workers.derive_keys, seed, held.epoch))

    async def _add_version(self, prepared: PreparedEpoch, smallest: int) -> bool:
        """Publish a version with the changes since the last one; return False if there are none."""
        held, holder = prepared.held, self._store.holder
        await _to_thread_uncancelled(holder.discard_unpublished, held)
        until = await asyncio.to_thread(holder.flag_state)
        with holder.build_version(held) as builder:
            await self._stage_additions(prepared, until, builder)
            await self._stage_revocations(prepared, until, builder)
            # An empty first version is published too: its padding hides that it is empty.
            if builder.count or not held.commitment.version:
                least = smallest if held.commitment.version else BATCH_SMALLEST
                await _to_thread_uncancelled(self._publish, held, until, builder, least)
                return True
        await _to_thread_uncancelled(holder.record_coverage, held, until)
        return False

    async def _stage_additions(
        self, prepared: PreparedEpoch, until: FlagState, builder: VersionBuilder
    ) -> None:
        additions = self._store.holder.additions
        last: Additions | None = None

        async def next_batch() -> Awaitable[None] | None:
            nonlocal last
            last = await asyncio.to_thread(additions, prepared.held, until, last, _BATCH)
            return None if last is None else self._add(prepared, builder, last)

        await self._run_batches(next_batch)

    async def _add(self, prepared: PreparedEpoch, builder: VersionBuilder, batch: Additions) -> None:
        tags, sealed = await self._pool.run(
            workers.tag_and_seal,
            prepared.keys,
            prepared.held.epoch,
            builder.version,
            batch.tokens,
            batch.labels,
        )
        owners = batch.indicator_ids
        entries = owned(builder.version, _ADDS * len(owners), tags, sealed, owners)
        await _to_thread_uncancelled(builder.add, entries)

    async def _stage_revocations(
        self, prepared: PreparedEpoch, until: FlagState, builder: VersionBuilder
    ) -> None:
        revocations = self._store.holder.revocations
        after = 0

        async def next_batch() -> Awaitable[None] | None:
            nonlocal after
            owners, tokens = await asyncio.to_thread(revocations, prepared.held, until, after, _BATCH)
            if not owners:
                return None
            after = owners[-1]
            return self._revoke(prepared, builder, owners, tokens)

        await self._run_batches(next_batch)

    async def _revoke(
        self, prepared: PreparedEpoch, builder: VersionBuilder, owners: list[int], tokens: bytes
    ) -> None:
        tags = await self._pool.run(workers.own_tags, prepared.keys, tokens)
        entries = owned(builder.version, _REVOKES * len(owners), tags, b"", owners)
        await _to_thread_uncancelled(builder.add, entries)

    def _publish(self, held: HeldEpoch, until: FlagState, builder: VersionBuilder, smallest: int) -> None:
        """Pad a version to its size class, and make it a part of the table."""
        holder = self._store.holder
        random_entries = padding(builder.count, os.urandom, smallest)
        while page := list(islice(random_entries, PAGE_SIZE)):
            tags, sealed = map(b"".join, zip(*page, strict=True))
            builder.add(owned(builder.version, _ADDS * len(page), tags, sealed, [0] * len(page)))
        frontier = held.frontier
        pages = builder.pages()
        # The last page is stored by the transaction that publishes: a small version is one write.
        last = next(pages)
        for page_after in pages:
            holder.add_page(held, frontier.size, last)
            frontier = last.part.append_to(frontier)
            last = page_after
        holder.publish(held, last.part.append_to(frontier), until, [last])

    async def _run_batches(self, next_batch: Callable[[], Awaitable[Awaitable[None] | None]]) -> None:
        """Run batches until `next_batch` returns None, at most one for each worker and one more."""
        tasks: set[asyncio.Task[None]] = set()
        failed: MandorlaError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                while (batch := await next_batch()) is not None:
                    tasks.add(group.create_task(_awaited(batch)))
                    if len(tasks) > self._pool.count:
                        _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except* MandorlaError as errors:
            # Raise one of them: callers handle a MandorlaError, not a group.
            failed = next(_single(errors))
        if failed is not None:
            raise failed


async def _awaited(batch: Awaitable[None]) -> None:
    await batch


async def _to_thread_uncancelled(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that writes in a thread; a cancelled caller waits for the thread, and keeps its lock.

    A thread cannot be stopped, and no version may begin while a thread finishes another.
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
