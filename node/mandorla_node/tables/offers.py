"""What peers are offered: their tables, brought up to date when they ask, as often as that is worth it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Final

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.table import TableCommitment

from ..core.clock import Clock
from ..store import Store
from .builder import PreparedEpoch, TableBuilder

_READY_WAIT: Final = 20.0
_REST: Final = 4
"""How many times as long as it took to find nothing new a peer has to wait until it is looked for again."""
_LONGEST_REST: Final = 60

Key = tuple[LabId, str]


@dataclass(frozen=True, slots=True)
class _Rest:
    """A table that was found up to date: after which change, and until when by both clocks."""

    change: int
    until: int
    monotonic: float


class TableOffers:
    """Tables for peers that ask, by peer and collection."""

    def __init__(self, tables: TableBuilder, store: Store, clock: Clock) -> None:
        self._tables = tables
        self._store = store
        self._clock = clock
        self._preparing: dict[Key, asyncio.Task[PreparedEpoch]] = {}
        self._found: dict[Key, TableCommitment] = {}
        self._rests: dict[Key, _Rest] = {}

    async def prepared_epoch(self, key: Key) -> PreparedEpoch:
        """Return an epoch whose table is up to date; raises RoundError(NOT_READY) if that takes long.

        To find that nothing is new means to walk over all that is flagged. A peer that asks without end would
        keep this lab at it, so the table stands for a while, unless something is flagged.
        """
        if (standing := await self._standing(key)) is not None:
            return standing
        task = self._preparing.get(key)
        # What was ready before this call may miss what was flagged since.
        if task is None or task.done():
            task = self._preparing[key] = asyncio.create_task(self._prepare(key))
        done, _ = await asyncio.wait({task}, timeout=_READY_WAIT)
        if not done:
            raise RoundError(Code.NOT_READY)
        return task.result()

    async def stop(self) -> None:
        """Prepare nothing more."""
        for task in self._preparing.values():
            task.cancel()
        await asyncio.gather(*self._preparing.values(), return_exceptions=True)

    async def _standing(self, key: Key) -> PreparedEpoch | None:
        rest = self._rests.get(key)
        if (
            rest is None
            or self._clock() >= rest.until
            or asyncio.get_running_loop().time() >= rest.monotonic
            or (await asyncio.to_thread(self._store.holder.flag_state)).change != rest.change
        ):
            return None
        ready = await self._tables.current_epoch(*key)
        return ready if ready.held.commitment.version else None

    async def _prepare(self, key: Key) -> PreparedEpoch:
        loop = asyncio.get_running_loop()
        change = (await asyncio.to_thread(self._store.holder.flag_state)).change
        began = loop.time()
        ready = await self._tables.prepare(*key)
        took = loop.time() - began
        found, self._found[key] = self._found.get(key), ready.held.commitment
        if found == ready.held.commitment:
            rest = min(_REST * took, _LONGEST_REST)
            self._rests[key] = _Rest(change, self._clock() + math.ceil(rest), loop.time() + rest)
        return ready
