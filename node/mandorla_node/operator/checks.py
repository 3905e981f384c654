"""What a gateway asks: is anything known of this? From memory, the store, or the peers, in this order.

What was asked about before is answered from memory until something about it changes. What was observed before
is answered from the store. What is new is recorded as observed, and the answer waits until the rounds that
stand have asked the peers.
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

_REMEMBERED: Final = 200_000
_PATIENCE: Final = 1.0
"""Seconds that an answer waits for the peers, at most."""

_NOTED_EVERY: Final = 2.0
"""Seconds between two times at which it is written down when indicators were seen last."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of an indicator. Peers are named against whose table it was compared."""

    indicator: Indicator
    flagged_here: bool
    matches: tuple[MatchRecord, ...] = field(repr=False)
    compared_with: tuple[str, ...]
    actionable: bool
    """Whether this lab's policy says that it should act on this."""


@dataclass(frozen=True, slots=True)
class _Known:
    number: int
    verdict: Verdict
    until: int
    """When a label in it expires, as Unix seconds; 0 for never."""


class Checker:
    """Answer questions about indicators, on the event loop."""

    def __init__(
        self,
        store: Store,
        registry: RoundRegistry,
        comparisons: Comparisons,
        changes: ChangeFeed,
        policy: ActionSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._registry = registry
        self._comparisons = comparisons
        self._changes = changes
        self._policy = policy
        self._clock = clock
        self._known: OrderedDict[Indicator, _Known] = OrderedDict()
        self._by_number: dict[int, Indicator] = {}
        self._seen: dict[int, int] = {}
        self._evictions = 0
        changes.listeners.append(self._forget)

    async def run(self) -> None:
        """Write down when indicators were seen last, until cancelled."""
        while True:
            await asyncio.sleep(_NOTED_EVERY)
            await self.note()

    async def note(self) -> None:
        """Write down when indicators were seen last."""
        seen, self._seen = self._seen, {}
        if seen:
            try:
                await asyncio.to_thread(self._store.indicators.record_last_seen, seen)
            except MandorlaError as error:
                _LOG.warning("not noted", code=error.code.name)
                self._seen = seen | self._seen

    async def check(self, wanted: Sequence[tuple[str, str]]) -> list[Verdict]:
        """Return what is known of indicators, by type and text; record as observed what can match alone.

        Raises InputError for a text that is no indicator, and NodeError(STORE_FAILED).
        """
        indicators = [_parsed(*one) for one in wanted]
        now = self._clock()
        answers = [self._remembered(one, now) for one in indicators]
        missing = [one for one, answer in zip(indicators, answers, strict=True) if answer is None]
        if not missing:
            return [answer for answer in answers if answer is not None]
        await self._comparisons.settled()
        found = await self._look_up(missing)
        return [answer or found[one] for one, answer in zip(indicators, answers, strict=True)]

    def _remembered(self, indicator: Indicator, now: int) -> Verdict | None:
        known = self._known.get(indicator)
        if known is None or (known.until and known.until <= now) or self._comparisons.running:
            return None
        self._known.move_to_end(indicator)
        self._seen[known.number] = now
        return known.verdict

    async def _look_up(self, missing: Sequence[Indicator]) -> dict[Indicator, Verdict]:
        evictions = self._evictions
        places = await asyncio.to_thread(self._store.indicators.memberships, missing)
        new = [one for one in missing if not places[one].observed and REGISTRY[one.type].needed == 1]
        if new:
            evictions = self._evictions
            await asyncio.to_thread(self._observe, new)
            self._changes.observed.notify()
            await self._asked_about({REGISTRY[one.type].collection for one in new})
            places |= await asyncio.to_thread(self._store.indicators.memberships, new)
        read = await asyncio.to_thread(self._read, places)
        now = self._clock()
        for known in read:
            if known.number:
                self._seen[known.number] = now
            if known.number and evictions == self._evictions:
                self._remember(known)
        return {known.verdict.indicator: known.verdict for known in read}

    def _observe(self, new: Sequence[Indicator]) -> None:
        rows = [LabelledIndicator(indicator, Label()) for indicator in new]
        self._store.indicators.add(IndicatorSet.OBSERVED, rows, None)

    async def _asked_about(self, collections: Iterable[str]) -> None:
        """Wait until the rounds that stand have compared everything that was observed by now, or a moment."""
        until = await asyncio.to_thread(self._store.querier.last_observed)
        waiting = [one for one in self._registry.standing() if one.header.collection in collections]
        kept_up = self._changes.kept_up
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while any(
                    one.querier.processed < until and not one.closer.halted.is_set() for one in waiting
                ):
                    await kept_up.beyond(kept_up.count)

    def _read(self, places: dict[Indicator, Membership]) -> list[_Known]:
        names = {peer.lab: peer.name for peer in self._store.peers.all()}
        read = []
        for indicator, place in places.items():
            matches = tuple(self._store.matches.of_indicator(indicator)) if place.indicator_id else ()
            holders = self._store.querier.peers_compared_with(indicator) if place.indicator_id else []
            compared = tuple(sorted(names[lab] for lab in holders if lab in names))
            ends = [match.label.expires for match in matches] + [place.flagged_until]
            until = min((end for end in ends if end), default=0)
            # What was not observed may be at any time, without a word.
            number = place.indicator_id if place.observed else 0
            act = self._is_actionable(indicator, place.flagged, matches)
            read.append(_Known(number, Verdict(indicator, place.flagged, matches, compared, act), until))
        return read

    def _is_actionable(self, indicator: Indicator, flagged: bool, matches: Sequence[MatchRecord]) -> bool:
        needed = self._policy.types.get(indicator.type, self._policy.labs)
        return (flagged and self._policy.own_evidence) or len({one.peer for one in matches}) >= needed

    def _remember(self, known: _Known) -> None:
        indicator = known.verdict.indicator
        self._known[indicator] = known
        self._by_number[known.number] = indicator
        while len(self._known) > _REMEMBERED:
            _, oldest = self._known.popitem(last=False)
            self._by_number.pop(oldest.number, None)

    def _forget(self, numbers: Iterable[int] | None, indicators: Iterable[Indicator] = ()) -> None:
        """Forget what was answered of some indicators, by number or themselves; of all for None."""
        self._evictions += 1
        if numbers is None:
            self._known.clear()
            self._by_number.clear()
            return
        for number in numbers:
            if (indicator := self._by_number.pop(number, None)) is not None:
                self._known.pop(indicator, None)
        for indicator in indicators:
            self._known.pop(indicator, None)


@lru_cache(maxsize=65_536)
def _parsed(type_name: str, text: str) -> Indicator:
    return Indicator.parse(type_name, text)
