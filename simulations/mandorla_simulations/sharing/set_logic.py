"""Sharing by set logic: the same matches as the protocol finds, without its cryptography, at its costs."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from mandorla_protocol.indicators import Collection

from ..kinds import COLLECTIONS, COLUMN, KINDS, ResourceKind
from ..resources import NEVER, Resource, ResourceBook, column_of
from ..scenario.model import Scenario, Scheme, Sharing
from ..sightings import Sightings
from .channel import Delivery, JustFlagged, Load, Match
from .costs import standing_seconds
from .ledger import Ledger, Pair

_ADDRESSES: Final = COLUMN[ResourceKind.ADDRESS]


class NoSharing:
    """Labs share nothing."""

    def __init__(self) -> None:
        self.due = NEVER
        self.load = Load()

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Tell nobody."""
        return ()

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Ask nobody."""
        return ()

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Ask nobody."""
        return ()

    def round(self, now: int) -> Sequence[Delivery]:
        """Run no round."""
        return ()


class SetLogic:
    """Matches by set logic, delivered when the scheme delivers them.

    `plaintext` is an ideal feed: at once, at no cost. A batch delivers at the first round at which both labs
    hold the indicator. A watch announces flags on what the querier already asked about within seconds, and
    asks about what it newly saw in padded micro-batches. What a budget refuses waits for the next key epoch,
    and what the pace of asking holds back for a later micro-batch.
    """

    def __init__(
        self,
        scenario: Scenario,
        sharing: Sharing,
        sightings: Sightings,
        book: ResourceBook,
        collections: Mapping[ResourceKind, Collection] = COLLECTIONS,
    ) -> None:
        """Take a run's scenario, and in which collection each kind is asked about."""
        self._scheme = sharing.scheme
        self._protocol = scenario.protocol
        self._sightings = sightings
        self._labs = len(scenario.labs)
        self._book = book
        self._exits = tuple(relay.exits for relay in scenario.relays)
        # Flagged addresses of relays, by relay and lease: the sighting of a lease looks them up.
        self._exit_flags: defaultdict[tuple[int, int], list[tuple[int, Resource]]] = defaultdict(list)
        self._flags: tuple[dict[Resource, tuple[int, int]], ...] = tuple({} for _ in range(self._labs))
        self._expiring: list[tuple[int, int, Resource]] = []
        self._period = {
            Scheme.BATCH: sharing.period,
            Scheme.WATCH: scenario.protocol.micro_batch,
        }.get(self._scheme, 0)
        self.due = self._next = 0 if self._period else NEVER
        self._collection = tuple(collections[kind].value for kind in KINDS)
        self._names = tuple(dict.fromkeys(self._collection))
        self._ledger = Ledger(self._labs, self._names, scenario.protocol)
        self.load = self._ledger.load
        self._waiting: defaultdict[int, list[Match]] = defaultdict(list)
        self._just = JustFlagged()
        self._telling: set[int] = set()
        self._held: set[Pair] = set()
        self._epoch = self._renewed_at = 0
        if self._period:
            windows = scenario.horizon // self._period
            self._benign = [
                sightings.benign_by_window(lab, self._period, windows, collections)
                for lab in range(self._labs)
            ]

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Match a flag with what the other labs have seen, or will."""
        self._flags[holder][resource] = (now, expires)
        self._ledger.flag(holder, self._collection[column_of(resource)])
        if self._period:
            heapq.heappush(self._expiring, (expires, holder, resource))
        if self._scheme is Scheme.WATCH:
            self._just.add(holder, resource)
            self._telling.add(holder)
            self.due = now
        if behind := self._book.exit_of(resource):
            self._exit_flags[behind[:2]].append((holder, resource))
        found: list[Delivery] = []
        for querier in range(self._labs):
            if querier != holder:
                seen = self._sightings.first(querier, resource)
                if seen < expires:
                    found += self._due(Match(querier, holder, resource, expires), max(now, seen), seen)
        return found

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Match what a lab newly sees with what the other labs flagged."""
        self._ledger.see(querier, self._collection[column_of(resource)])
        found: list[Delivery] = []
        for holder in range(self._labs):
            if holder != querier:
                _, expires = self._flags[holder].get(resource, (NEVER, 0))
                if expires > now:
                    found += self._due(Match(querier, holder, resource, expires), now, now)
        return found

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Match the addresses that a relay's exits have now with what the other labs flagged of them."""
        self._ledger.see(querier, self._collection[_ADDRESSES], self._exits[relay])
        found: list[Delivery] = []
        for holder, resource in self._exit_flags.get((relay, lease), ()):
            _, expires = self._flags[holder][resource]
            if holder != querier and expires > now:
                found += self._due(Match(querier, holder, resource, expires), now, now)
        return found

    def round(self, now: int) -> Sequence[Delivery]:
        """Ask about what was newly seen, as far as budgets go, and deliver what waited for that."""
        refused: set[Pair] = set()
        if now == self._next:
            self._next = now + self._period
            refused = self._watch(now) if self._scheme is Scheme.WATCH else self._batch(now)
        if self._telling:
            self._ledger.announce(self._telling)
            self._telling.clear()
        self.due = self._next
        found = []
        for match in self._just.sort(self._waiting.pop(now, ())):
            if self._pair(match) in refused and not (self._scheme is Scheme.WATCH and self._is_asked(match)):
                self._waiting[self._next].append(match)
            elif match.expires > now:
                found.append(Delivery(now + self._takes(), match))
        return found

    def _batch(self, now: int) -> set[Pair]:
        """Run the batch rounds of a period; return the halves that a budget refused."""
        self._revoke(now)
        self._begins_epoch(now)
        self._look(now)
        return {pair for pair in self._ledger.pairs if not self._ledger.ask_in_batch(pair)}

    def _watch(self, now: int) -> set[Pair]:
        """Hand over a micro-batch, in rounds that stand; return the halves in which it is not asked about."""
        ledger = self._ledger
        self._revoke(now)
        if self._begins_epoch(now) or now >= self._renewed_at:
            self._renewed_at = now + standing_seconds(self._period)
            for pair in ledger.pairs:
                ledger.stand(pair)
        else:
            # What was held back comes first, if its time has come.
            for pair in sorted(self._held):
                ledger.ask_standing(pair, now, again=True)
        self._look(now)
        self._held = {pair for pair in ledger.pairs if not ledger.ask_standing(pair, now)}
        return self._held

    def _look(self, now: int) -> None:
        """Count what the labs have seen by the end of a period."""
        window = now // self._period
        for lab in range(self._labs):
            for name in self._names:
                self._ledger.see(lab, name, self._benign[lab][name][window])
        self._ledger.look(now)

    def _revoke(self, now: int) -> None:
        """Have the labs revoke the flags that have expired, and were not set anew."""
        while self._expiring and self._expiring[0][0] <= now:
            expires, holder, resource = heapq.heappop(self._expiring)
            if self._flags[holder][resource][1] == expires:
                self._ledger.flag(holder, self._collection[column_of(resource)])
                if self._scheme is Scheme.WATCH:
                    self._telling.add(holder)

    def _due(self, match: Match, ready: int, seen: int) -> list[Delivery]:
        """Deliver a match that both sides hold from `ready` on, now or at a round to come."""
        if self._scheme is Scheme.PLAINTEXT:
            return [Delivery(ready, match)]
        if self._scheme is Scheme.WATCH and seen <= self._ledger.asked_until(self._pair(match)):
            self._waiting[ready].append(match)
        else:
            self._waiting[max(self._next, -(-ready // self._period) * self._period)].append(match)
        return []

    def _pair(self, match: Match) -> Pair:
        return match.querier, match.holder, self._collection[column_of(match.resource)]

    def _is_asked(self, match: Match) -> bool:
        seen = self._sightings.first(match.querier, match.resource)
        return seen <= self._ledger.asked_until(self._pair(match))

    def _takes(self) -> int:
        return self._protocol.announce if self._scheme is Scheme.WATCH else self._protocol.round_takes

    def _begins_epoch(self, now: int) -> bool:
        """Begin new keys if it is time to; say whether it was."""
        epoch = now // self._protocol.epoch
        if epoch == self._epoch:
            return False
        self._epoch = epoch
        live = [
            Counter(
                self._collection[column_of(resource)]
                for resource, (_, expires) in flags.items()
                if expires > now
            )
            for flags in self._flags
        ]
        self._ledger.begin_epoch(live)
        return True
