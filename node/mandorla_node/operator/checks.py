"""Checks: verdicts about indicators for a gateway, from memory, from the store, or from the peers.

The checker keeps verdicts in memory until something about the indicator changes. If the indicator is in the
observed set, the verdict comes from the store. A new indicator enters the observed set, and its verdict waits
until the standing rounds have asked the peers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import structlog

from mandorla_protocol.errors import MandorlaError
from mandorla_protocol.indicators import REGISTRY, Indicator
from mandorla_protocol.labels import Label

from ..config.lab_settings import ActionSettings
from ..core.change_feed import ChangeFeed
from ..core.clock import Clock
from ..rounds.comparisons import Comparisons
from ..rounds.registry import RoundRegistry
from ..store import IndicatorSet, LabelledIndicator, MatchRecord, Membership, Store

_LOG = structlog.get_logger()

_CACHE_SIZE: Final = 200_000
_PEERS_PATIENCE: Final = 1.0
"""Seconds that a verdict waits for the peers, at most."""

_SAVE_INTERVAL: Final = 2.0
"""Seconds between two writes of the times at which indicators were last seen."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What this lab knows about an indicator.

    `compared_with` has the names of the peers whose tables the node has compared it with.
    """

    indicator: Indicator
    flagged_here: bool
    matches: tuple[MatchRecord, ...] = field(repr=False)
    compared_with: tuple[str, ...]
    actionable: bool
    """Whether the policy `[action]` says that the lab should act on the indicator."""


@dataclass(frozen=True, slots=True)
class _CachedVerdict:
    verdict: Verdict
    indicator_id: int
    """The indicator's id in the store; 0 if the verdict cannot be cached: the indicator is not observed."""
    expires: int
    """The Unix time at which the first label in the verdict expires; 0 for never."""


class Checker:
    """Answers checks, on the event loop."""

    def __init__(
        self,
        store: Store,
        registry: RoundRegistry,
        comparisons: Comparisons,
        changes: ChangeFeed,
        settings: ActionSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._registry = registry
        self._comparisons = comparisons
        self._changes = changes
        self._settings = settings
        self._clock = clock
        self._cache: OrderedDict[Indicator, _CachedVerdict] = OrderedDict()
        self._cached_ids: dict[int, Indicator] = {}
        # The Unix times at which indicators were last seen, by id, that are not in the store yet.
        self._last_seen: dict[int, int] = {}
        self._invalidations = 0
        changes.listeners.append(self._invalidate)

    async def run(self) -> None:
        """Save the times at which indicators were last seen, at intervals, until cancelled."""
        while True:
            await asyncio.sleep(_SAVE_INTERVAL)
            await self.save_last_seen()

    async def save_last_seen(self) -> None:
        """Write the times at which indicators were last seen to the store; after a failure, keep them."""
        last_seen, self._last_seen = self._last_seen, {}
        if last_seen:
            try:
                await asyncio.to_thread(self._store.indicators.record_last_seen, last_seen)
            except MandorlaError as error:
                _LOG.warning("last seen not saved", code=error.code.name)
                self._last_seen = last_seen | self._last_seen

    async def check(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        """Return a verdict for each indicator, given as type and text, in the same order.

        New indicators of types that can match alone enter the observed set.

        Raises InputError for a text that is not an indicator, NodeError(STORE_FAILED).
        """
        indicators = [_parse(type_name, text) for type_name, text in texts]
        now = self._clock()
        cached = [self._cached(indicator, now) for indicator in indicators]
        missing = [
            indicator for indicator, verdict in zip(indicators, cached, strict=True) if verdict is None
        ]
        if not missing:
            return [verdict for verdict in cached if verdict is not None]
        await self._comparisons.settled()
        verdicts = await self._look_up(missing)
        return [verdict or verdicts[indicator] for indicator, verdict in zip(indicators, cached, strict=True)]

    def _cached(self, indicator: Indicator, now: int) -> Verdict | None:
        entry = self._cache.get(indicator)
        # A comparison that runs may have stored new matches already, and invalidates the cache at its end.
        if entry is None or (entry.expires and entry.expires <= now) or self._comparisons.running:
            return None
        self._cache.move_to_end(indicator)
        self._last_seen[entry.indicator_id] = now
        return entry.verdict

    async def _look_up(self, missing: Sequence[Indicator]) -> dict[Indicator, Verdict]:
        # A change during the reads from the store may or may not be in the verdict. Then the verdict answers
        # this check, but it is not cached.
        invalidations = self._invalidations
        memberships = await asyncio.to_thread(self._store.indicators.memberships, missing)
        new = [
            indicator
            for indicator in missing
            if not memberships[indicator].observed and REGISTRY[indicator.type].needed == 1
        ]
        if new:
            invalidations = self._invalidations
            await asyncio.to_thread(self._observe, new)
            self._changes.observed.advance()
            await self._wait_for_peers({REGISTRY[indicator.type].collection for indicator in new})
            memberships |= await asyncio.to_thread(self._store.indicators.memberships, new)
        entries = await asyncio.to_thread(self._read, memberships)
        now = self._clock()
        for entry in entries:
            if entry.indicator_id:
                self._last_seen[entry.indicator_id] = now
            if entry.indicator_id and invalidations == self._invalidations:
                self._keep(entry)
        return {entry.verdict.indicator: entry.verdict for entry in entries}

    def _observe(self, new: Sequence[Indicator]) -> None:
        rows = [LabelledIndicator(indicator, Label()) for indicator in new]
        self._store.indicators.add(IndicatorSet.OBSERVED, rows, None)

    async def _wait_for_peers(self, collections: Iterable[str]) -> None:
        """Wait until the standing rounds have compared the present observed set, within a time limit."""
        last_observed = await asyncio.to_thread(self._store.querier.last_observed)
        rounds = [
            standing for standing in self._registry.standing() if standing.header.collection in collections
        ]
        progressed = self._changes.progressed
        with suppress(TimeoutError):
            async with asyncio.timeout(_PEERS_PATIENCE):
                while any(
                    standing.querier.processed < last_observed and not standing.closer.halted.is_set()
                    for standing in rounds
                ):
                    await progressed.wait_beyond(progressed.count)

    def _read(self, memberships: dict[Indicator, Membership]) -> list[_CachedVerdict]:
        names = {peer.lab: peer.name for peer in self._store.peers.all()}
        entries = []
        for indicator, membership in memberships.items():
            matches = tuple(self._store.matches.of_indicator(indicator)) if membership.indicator_id else ()
            holders = self._store.querier.peers_compared_with(indicator) if membership.indicator_id else []
            compared = tuple(sorted(names[lab] for lab in holders if lab in names))
            expiries = [match.label.expires for match in matches] + [membership.flagged_until]
            expires = min((expiry for expiry in expiries if expiry), default=0)
            # Nothing invalidates the verdict when such an indicator enters the observed set by an ingest.
            indicator_id = membership.indicator_id if membership.observed else 0
            actionable = self._is_actionable(indicator, membership.flagged, matches)
            verdict = Verdict(indicator, membership.flagged, matches, compared, actionable)
            entries.append(_CachedVerdict(verdict, indicator_id, expires))
        return entries

    def _is_actionable(self, indicator: Indicator, flagged: bool, matches: Sequence[MatchRecord]) -> bool:
        needed = self._settings.types.get(indicator.type, self._settings.labs)
        return (flagged and self._settings.own_evidence) or len({match.peer for match in matches}) >= needed

    def _keep(self, entry: _CachedVerdict) -> None:
        indicator = entry.verdict.indicator
        self._cache[indicator] = entry
        self._cached_ids[entry.indicator_id] = indicator
        while len(self._cache) > _CACHE_SIZE:
            _, oldest = self._cache.popitem(last=False)
            self._cached_ids.pop(oldest.indicator_id, None)

    def _invalidate(self, ids: Iterable[int] | None, indicators: Iterable[Indicator] = ()) -> None:
        """Drop the verdicts about indicators, given by id or by value; None stands for all."""
        self._invalidations += 1
        if ids is None:
            self._cache.clear()
            self._cached_ids.clear()
            return
        for indicator_id in ids:
            if (indicator := self._cached_ids.pop(indicator_id, None)) is not None:
                self._cache.pop(indicator, None)
        for indicator in indicators:
            self._cache.pop(indicator, None)


@lru_cache(maxsize=65_536)
def _parse(type_name: str, text: str) -> Indicator:
    return Indicator.parse(type_name, text)
