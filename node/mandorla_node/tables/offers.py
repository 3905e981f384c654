"""The tables that peers are offered: updated when a peer asks, with a bound on the work for it."""

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

_PREPARATION_TIMEOUT: Final = 20.0
_REST: Final = 4
"""A search that found no change is not repeated for this many times its own duration."""
_LONGEST_REST: Final = 60
"""Seconds: the upper bound of that rest."""

Key = tuple[LabId, str]


@dataclass(frozen=True, slots=True)
class _Rest:
    """A table that was up to date at `change`; it counts as current until `until`, by both clocks."""

    change: int
    until: int
    monotonic: float


class TableOffers:
    """Offer each peer that asks its table, by peer and collection."""

    def __init__(self, tables: TableBuilder, store: Store, clock: Clock) -> None:
        self._tables = tables
        self._store = store
        self._clock = clock
        self._preparing: dict[Key, asyncio.Task[PreparedEpoch]] = {}
        self._found: dict[Key, TableCommitment] = {}
        self._rests: dict[Key, _Rest] = {}

    async def prepared_epoch(self, key: Key) -> PreparedEpoch:
        """Return an epoch whose table is up to date; raises RoundError(NOT_READY) after 20 seconds.

        A search for changes reads the whole flagged set, and a peer may ask without end. So after a search
        without a result the table counts as current for a while, unless this lab flags something.
        """
        if (current := await self._current(key)) is not None:
            return current
        task = self._preparing.get(key)
        # A task that is done may have missed what this lab flagged since.
        if task is None or task.done():
            task = self._preparing[key] = asyncio.create_task(self._prepare(key))
        done, _ = await asyncio.wait({task}, timeout=_PREPARATION_TIMEOUT)
        if not done:
            raise RoundError(Code.NOT_READY)
        return task.result()

    async def stop(self) -> None:
        """Cancel all preparations."""
        for task in self._preparing.values():
            task.cancel()
        await asyncio.gather(*self._preparing.values(), return_exceptions=True)

    async def _current(self, key: Key) -> PreparedEpoch | None:
        rest = self._rests.get(key)
        if (
            rest is None
            or self._clock() >= rest.until
            or asyncio.get_running_loop().time() >= rest.monotonic
            or (await asyncio.to_thread(self._store.holder.flag_state)).change != rest.change
        ):
            return None
        prepared = await self._tables.current_or_new_epoch(*key)
        return prepared if prepared.held.commitment.version else None

    async def _prepare(self, key: Key) -> PreparedEpoch:
        loop = asyncio.get_running_loop()
        change = (await asyncio.to_thread(self._store.holder.flag_state)).change
        began = loop.time()
        prepared = await self._tables.prepare(*key)
        took = loop.time() - began
        found, self._found[key] = self._found.get(key), prepared.held.commitment
        if found == prepared.held.commitment:
            rest = min(_REST * took, _LONGEST_REST)
            self._rests[key] = _Rest(change, self._clock() + math.ceil(rest), loop.time() + rest)
        return prepared
