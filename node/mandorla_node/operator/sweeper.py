"""What a node puts away unasked: keys that have ended, and what its policy says that it keeps no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import MandorlaError

from ..config.settings import Settings
from ..core.change_feed import ChangeFeed
from ..core.clock import Clock
from ..store import RetentionStep, Store
from .checks import Checker

_LOG = structlog.get_logger()

_EVERY: Final = 600.0
"""Seconds between two sweeps."""

_TOGETHER: Final = 500
"""Rows that are forgotten in one transaction: whoever else writes waits for it."""


class Sweeper:
    """Destroy keys when their epochs end, whether or not a peer asks again; forget the rest in time."""

    def __init__(
        self,
        store: Store,
        lab: LabId,
        settings: Settings,
        checking: Checker,
        changes: ChangeFeed,
        clock: Clock,
    ) -> None:
        self._store = store
        self._lab = lab
        self._settings = settings
        self._checking = checking
        self._changes = changes
        self._clock = clock

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(_EVERY)

    async def sweep(self) -> None:
        """Put away what is to be; one thing that cannot be does not keep the others."""
        for step in (self._keys, self._elements, self._observed, self._matches, self._scrub):
            try:
                await step()
            except MandorlaError as error:
                _LOG.warning("not swept", step=step.__name__.strip("_"), code=error.code.name)

    async def _keys(self) -> None:
        await asyncio.to_thread(self._store.holder.destroy_expired, self._lab)

    async def _elements(self) -> None:
        if keep := self._settings.audit.keep_elements:
            await asyncio.to_thread(self._store.rounds.forget_elements, self._clock() - keep)

    async def _observed(self) -> None:
        if keep := self._settings.retention.observed:
            # What was answered from memory was seen, too.
            await self._checking.note()
            await self._forget(self._store.retention.forget_observed, self._clock() - keep)

    async def _matches(self) -> None:
        if keep := self._settings.retention.ended_matches:
            await self._forget(self._store.retention.forget_matches, self._clock() - keep)

    async def _scrub(self) -> None:
        await asyncio.to_thread(self._store.scrub)

    async def _forget(self, step: Callable[[int, int], RetentionStep], before: int) -> None:
        """Forget in steps, and let whoever remembers what was forgotten know."""
        more = True
        while more:
            gone, more = await asyncio.to_thread(step, before, _TOGETHER)
            if gone:
                self._changes.tell(gone)
