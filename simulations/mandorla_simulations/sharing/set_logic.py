"""Sharing by set logic: the matches and the cost of the protocol, without its cryptography."""

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
        """Deliver nothing."""
        return ()

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Deliver nothing."""
        return ()

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Deliver nothing."""
        return ()

    def round(self, now: int) -> Sequence[Delivery]:
        """Deliver nothing."""
        return ()


class SetLogic:
    """Matches by set logic, delivered when the scheme delivers them.

    `plaintext` is an ideal feed, which delivers at once and costs nothing. A batch delivers in the first
    round in which the holder has flagged the resource and the querier has seen it. A watch announces within
    seconds the flags on what the querier has asked about; the querier asks about new sightings in padded
    micro-batches. Questions that the budget refuses wait for the next key epoch. Questions that the pace
    holds back wait for a later micro-batch.
    """

    def __init__(
        self,
        scenario: Scenario,
        sharing: Sharing,
        sightings: Sightings,
        book: ResourceBook,
        collections: Mapping[ResourceKind, Collection] = COLLECTIONS,
    ) -> None:
        """Take the scenario of a run, and the collection in which labs ask about each kind."""
        self._scheme = sharing.scheme
        self._protocol = scenario.protocol
        self._sightings = sightings
        self._labs = len(scenario.labs)
        self._book = book
        self._exits = tuple(relay.exits for relay in scenario.relays)
        # Flagged addresses of relays, by relay and lease.
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
        self._announcing: set[int] = set()
        self._held: set[Pair] = set()
        self._epoch = self._renewed_at = 0
        if self._period:
            windows = scenario.horizon // self._period
            self._benign = [
                sightings.benign_by_window(lab, self._period, windows, collections)
                for lab in range(self._labs)
            ]

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Match a flag with what the other labs have seen, or will see before it expires."""
        self._flags[holder][resource] = (now, expires)
        self._ledger.flag(holder, self._collection[column_of(resource)])
        if self._period:
            heapq.heappush(self._expiring, (expires, holder, resource))
        if self._scheme is Scheme.WATCH:
            self._just.add(holder, resource)
            self._announcing.add(holder)
            self.due = now
        if relay_exit := self._book.exit_of(resource):
            self._exit_flags[relay_exit[:2]].append((holder, resource))
        found: list[Delivery] = []
        for querier in range(self._labs):
            if querier != holder:
                seen = self._sightings.first(querier, resource)
                if seen < expires:
                    found += self._due(Match(querier, holder, resource, expires), max(now, seen), seen)
        return found

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Match a new sighting with the flags of the other labs."""
        self._ledger.see(querier, self._collection[column_of(resource)])
        found: list[Delivery] = []
        for holder in range(self._labs):
            if holder != querier:
                _, expires = self._flags[holder].get(resource, (NEVER, 0))
                if expires > now:
                    found += self._due(Match(querier, holder, resource, expires), now, now)
        return found

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Match the addresses of a relay's exits during a lease with the flags of the other labs."""
        self._ledger.see(querier, self._collection[_ADDRESSES], self._exits[relay])
        found: list[Delivery] = []
        for holder, resource in self._exit_flags.get((relay, lease), ()):
            _, expires = self._flags[holder][resource]
            if holder != querier and expires > now:
                found += self._due(Match(querier, holder, resource, expires), now, now)
        return found

    def round(self, now: int) -> Sequence[Delivery]:
        """Ask about new sightings as far as the budgets allow, and deliver the matches that waited for it."""
        refused: set[Pair] = set()
        if now == self._next:
            self._next = now + self._period
            refused = self._watch(now) if self._scheme is Scheme.WATCH else self._batch(now)
        if self._announcing:
            self._ledger.announce(self._announcing)
            self._announcing.clear()
        self.due = self._next
        found = []
        for match in self._just.sort(self._waiting.pop(now, ())):
            if self._pair(match) in refused and not (self._scheme is Scheme.WATCH and self._is_asked(match)):
                self._waiting[self._next].append(match)
            elif match.expires > now:
                found.append(Delivery(now + self._takes(), match))
        return found

    def _batch(self, now: int) -> set[Pair]:
        """Run the batch rounds of a period; return the halves that a budget refuses."""
        self._revoke(now)
        self._begins_epoch(now)
        self._end_period(now)
        return {pair for pair in self._ledger.pairs if not self._ledger.ask_in_batch(pair)}

    def _watch(self, now: int) -> set[Pair]:
        """Ask about a micro-batch in standing rounds; return the halves in which the labs cannot ask."""
        ledger = self._ledger
        self._revoke(now)
        if self._begins_epoch(now) or now >= self._renewed_at:
            self._renewed_at = now + standing_seconds(self._period)
            for pair in ledger.pairs:
                ledger.begin_standing(pair)
        else:
            # Questions that were held back come before new ones.
            for pair in sorted(self._held):
                ledger.ask_standing(pair, now, again=True)
        self._end_period(now)
        self._held = {pair for pair in ledger.pairs if not ledger.ask_standing(pair, now)}
        return self._held

    def _end_period(self, now: int) -> None:
        """Count what the honest users have shown the labs by the end of a period."""
        window = now // self._period
        for lab in range(self._labs):
            for name in self._names:
                self._ledger.see(lab, name, self._benign[lab][name][window])
        self._ledger.end_period(now)

    def _revoke(self, now: int) -> None:
        """Have the labs revoke the flags that have expired, unless they were set again."""
        while self._expiring and self._expiring[0][0] <= now:
            expires, holder, resource = heapq.heappop(self._expiring)
            if self._flags[holder][resource][1] == expires:
                self._ledger.flag(holder, self._collection[column_of(resource)])
                if self._scheme is Scheme.WATCH:
                    self._announcing.add(holder)

    def _due(self, match: Match, ready: int, seen: int) -> list[Delivery]:
        """Deliver a match that exists from `ready` on, at once or in a later round."""
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
        """Begin a key epoch if one is due; return whether it was."""
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
