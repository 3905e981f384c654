"""The progress of the watch: waits until all that is known now is published, and until it is compared.

A simulation that feeds nodes asks each holder which versions it has published, and then waits until each
querier has compared them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from mandorla_protocol.epochs import LabId

from ..core.change_feed import ChangeFeed
from ..store import Store
from .registry import RoundRegistry
from .standing_round import StandingRound

Watch: TypeAlias = tuple[LabId, str]
"""A peer and a collection."""


class WatchProgress:
    """Waits for standing rounds, and for those that begin later; the caller sets a deadline."""

    def __init__(self, store: Store, registry: RoundRegistry, changes: ChangeFeed) -> None:
        self._store = store
        self._registry = registry
        self._changes = changes

    async def published(self, watches: Iterable[Watch]) -> dict[Watch, int]:
        """Wait until all that is flagged now is announced; return the versions of this lab's tables."""
        wanted = self._changes.flagged.count
        versions = {}
        for watch in watches:
            standing = await self._until(watch, lambda standing: standing.published >= wanted)
            versions[watch] = standing.table_version
        return versions

    async def compared(self, versions: Mapping[Watch, int]) -> None:
        """Wait until peers' tables up to these versions are compared with all that is observed now.

        Indicators that the pace of asking holds back are left out (SPEC 19.3).
        """
        observed = await asyncio.to_thread(self._store.querier.last_observed)
        for watch, version in versions.items():

            def is_done(standing: StandingRound, version: int = version) -> bool:
                half = standing.querier
                return half.compared_version >= version and not half.is_behind(observed)

            await self._until(watch, is_done)

    async def _until(self, watch: Watch, is_done: Callable[[StandingRound], bool]) -> StandingRound:
        """Wait until the condition holds for the standing round of a watch, and return that round."""
        while True:
            seen = self._changes.progressed.count
            for standing in self._registry.standing():
                mine = (standing.peer.lab, standing.header.collection) == watch
                if mine and standing.continues and is_done(standing):
                    return standing
            await self._changes.progressed.wait_beyond(seen)
