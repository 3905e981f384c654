"""How far the rounds that stand are: waits until what is known by now is published, and compared.

Whoever feeds nodes and wants to know all that comes of it asks each holder what it has published, and then
each querier to wait until it has compared that.
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
    """Waits for rounds that stand, those to come too; how long is up to the caller."""

    def __init__(self, store: Store, rounds: RoundRegistry, changes: ChangeFeed) -> None:
        self._store = store
        self._rounds = rounds
        self._changes = changes

    async def published(self, watches: Iterable[Watch]) -> dict[Watch, int]:
        """Wait until all that is flagged by now is announced; return the versions of this lab's tables."""
        wanted = self._changes.flagged.count
        versions = {}
        for watch in watches:
            standing = await self._until(watch, lambda standing: standing.published >= wanted)
            versions[watch] = standing.table_version
        return versions

    async def compared(self, versions: Mapping[Watch, int]) -> None:
        """Wait until peers' tables up to these versions are compared with all that is observed by now.

        What the pace of asking holds back is left out (SPEC 19.3).
        """
        observed = await asyncio.to_thread(self._store.querier.last_observed)
        for watch, version in versions.items():

            def is_done(standing: StandingRound, version: int = version) -> bool:
                half = standing.querier
                return half.compared_version >= version and not half.is_behind(observed)

            await self._until(watch, is_done)

    async def _until(self, watch: Watch, is_done: Callable[[StandingRound], bool]) -> StandingRound:
        """Wait until the round that stands for a watch, and goes on, is so far."""
        while True:
            seen = self._changes.kept_up.count
            for standing in self._rounds.standing():
                mine = (standing.peer.lab, standing.header.collection) == watch
                if mine and standing.continues and is_done(standing):
                    return standing
            await self._changes.kept_up.beyond(seen)
