"""Periodic removal of data: keys of ended epochs, and rows older than the retention settings."""

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

_INTERVAL: Final = 600.0
"""Seconds between two sweeps."""

_BATCH: Final = 500
"""Rows that one transaction removes. Other writers wait for the transaction."""


class Sweeper:
    """Destroys the keys of ended epochs even if no peer calls, and removes rows that are too old."""

    def __init__(
        self,
        store: Store,
        lab: LabId,
        settings: Settings,
        checker: Checker,
        changes: ChangeFeed,
        clock: Clock,
    ) -> None:
        self._store = store
        self._lab = lab
        self._settings = settings
        self._checker = checker
        self._changes = changes
        self._clock = clock

    async def run(self) -> None:
        """Sweep at intervals, until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(_INTERVAL)

    async def sweep(self) -> None:
        """Run each step once; the failure of one step does not stop the others."""
        steps = (
            self._destroy_keys,
            self._remove_elements,
            self._remove_observed,
            self._remove_matches,
            self._scrub,
        )
        for step in steps:
            try:
                await step()
            except MandorlaError as error:
                _LOG.warning("not swept", step=step.__name__.strip("_"), code=error.code.name)

    async def _destroy_keys(self) -> None:
        await asyncio.to_thread(self._store.holder.destroy_expired, self._lab)

    async def _remove_elements(self) -> None:
        if keep := self._settings.audit.keep_elements:
            await asyncio.to_thread(self._store.rounds.forget_elements, self._clock() - keep)

    async def _remove_observed(self) -> None:
        if keep := self._settings.retention.observed:
            # Verdicts from the checker's memory count as seen, too.
            await self._checker.save_last_seen()
            await self._remove(self._store.retention.forget_observed, self._clock() - keep)

    async def _remove_matches(self) -> None:
        if keep := self._settings.retention.ended_matches:
            await self._remove(self._store.retention.forget_matches, self._clock() - keep)

    async def _scrub(self) -> None:
        await asyncio.to_thread(self._store.scrub)

    async def _remove(self, step: Callable[[int, int], RetentionStep], before: int) -> None:
        """Remove rows from before a time, in batches, and invalidate verdicts about their indicators."""
        more = True
        while more:
            indicator_ids, more = await asyncio.to_thread(step, before, _BATCH)
            if indicator_ids:
                self._changes.invalidate(indicator_ids)
