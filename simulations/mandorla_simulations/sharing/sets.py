"""Sharing by set logic: the same matches as the protocol finds, without its cryptography, at its costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from mandorla_protocol.sizes import size_class

from ..kinds import COLLECTIONS, COLUMN, KINDS, Kind
from ..resources import NEVER, Resource, ResourceBook, column_of
from ..scenario.model import Scenario, Scheme, Sharing
from ..sightings import Sightings
from .channel import Delivery, Load, Match
from .costs import FRAME_BYTES, question_bytes, table_bytes

_COLLECTION: Final = tuple(COLLECTIONS[kind].value for kind in KINDS)
_ALL: Final = tuple(dict.fromkeys(_COLLECTION))

Pair = tuple[int, int, str]
"""Querier, holder, collection."""


class Nothing:
    """Labs share nothing."""

    def __init__(self) -> None:
        self.period = 0
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
    asks about what it newly saw in padded micro-batches. What a budget refuses waits for the next key epoch.
    """

    def __init__(
        self, scenario: Scenario, sharing: Sharing, sightings: Sightings, book: ResourceBook
    ) -> None:
        self._scheme = sharing.scheme
        self._protocol = scenario.protocol
        self._sightings = sightings
        self._labs = len(scenario.labs)
        self._book = book
        self._exits = tuple(relay.exits for relay in scenario.relays)
        # Flagged addresses of relays, by relay and lease: the sighting of a lease looks them up.
        self._exit_flags: defaultdict[tuple[int, int], list[tuple[int, Resource]]] = defaultdict(list)
        self._flags: tuple[dict[Resource, tuple[int, int]], ...] = tuple({} for _ in range(self._labs))
        self.period = {
            Scheme.BATCH: sharing.period,
            Scheme.WATCH: scenario.protocol.micro_batch,
        }.get(self._scheme, 0)
        self.load = Load(by_collection=dict.fromkeys(_ALL, 0))
        self._waiting: defaultdict[int, list[Match]] = defaultdict(list)
        self._asked_until: defaultdict[Pair, int] = defaultdict(lambda: -1)
        self._pairs = [
            (querier, holder, name)
            for querier in range(self._labs)
            for holder in range(self._labs)
            if querier != holder
            for name in _ALL
        ]
        self._asked: defaultdict[Pair, int] = defaultdict(int)
        self._spent: defaultdict[Pair, int] = defaultdict(int)
        self._told: defaultdict[Pair, int] = defaultdict(int)
        self._seen: list[dict[str, int]] = [dict.fromkeys(_ALL, 0) for _ in range(self._labs)]
        self._flagged: list[dict[str, int]] = [dict.fromkeys(_ALL, 0) for _ in range(self._labs)]
        self._epoch = 0
        if self.period:
            windows = scenario.horizon // self.period
            self._benign = [
                {name: counts.tolist() for name, counts in by.items()}
                for by in (sightings.benign_by_window(lab, self.period, windows) for lab in range(self._labs))
            ]

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Match a flag with what the other labs have seen, or will."""
        self._flags[holder][resource] = (now, expires)
        self._flagged[holder][_COLLECTION[column_of(resource)]] += 1
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
        self._seen[querier][_COLLECTION[column_of(resource)]] += 1
        found: list[Delivery] = []
        for holder in range(self._labs):
            if holder != querier:
                _, expires = self._flags[holder].get(resource, (NEVER, 0))
                if expires > now:
                    found += self._due(Match(querier, holder, resource, expires), now, now)
        return found

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Match the addresses that a relay's exits have now with what the other labs flagged of them."""
        self._seen[querier][_COLLECTION[COLUMN[Kind.ADDRESS]]] += self._exits[relay]
        found: list[Delivery] = []
        for holder, resource in self._exit_flags.get((relay, lease), ()):
            _, expires = self._flags[holder][resource]
            if holder != querier and expires > now:
                found += self._due(Match(querier, holder, resource, expires), now, now)
        return found

    def round(self, now: int) -> Sequence[Delivery]:
        """Ask about what was newly seen, as far as budgets go, and deliver what waited for that."""
        self._begin_epoch(now)
        window = now // self.period
        for lab in range(self._labs):
            for name in _ALL:
                self._seen[lab][name] += self._benign[lab][name][window]
        refused = {pair for pair in self._pairs if not self._ask(pair, now)}
        found = []
        for match in sorted(self._waiting.pop(now, ())):
            pair = (match.querier, match.holder, _COLLECTION[column_of(match.resource)])
            if pair in refused:
                self._waiting[now + self.period].append(match)
            elif match.expires > now:
                found.append(Delivery(now + self._takes(), match))
        return found

    def _due(self, match: Match, ready: int, seen: int) -> list[Delivery]:
        """Deliver a match that both sides hold from `ready` on, now or at a round to come."""
        if self._scheme is Scheme.PLAINTEXT:
            return [Delivery(ready, match)]
        pair = (match.querier, match.holder, _COLLECTION[column_of(match.resource)])
        if self._scheme is Scheme.WATCH and seen <= self._asked_until[pair]:
            return [Delivery(ready + self._protocol.announce, match)]
        self._waiting[-(-ready // self.period) * self.period].append(match)
        return []

    def _takes(self) -> int:
        return self._protocol.announce if self._scheme is Scheme.WATCH else self._protocol.round_takes

    def _begin_epoch(self, now: int) -> None:
        epoch = now // self._protocol.epoch
        if epoch > self._epoch:
            # A new key: everything is asked again, out of a new budget.
            self._epoch = epoch
            self._spent.clear()
            self._asked.clear()
            self._asked_until.clear()
            self._told.clear()

    def _ask(self, pair: Pair, now: int) -> bool:
        """Charge one lab's question to another; say whether the budget allowed it."""
        querier, holder, name = pair
        new = self._seen[querier][name] - self._asked[pair]
        grown = self._flagged[holder][name] - self._told[pair]
        if self._scheme is Scheme.WATCH and not new:
            # Nothing to ask. What the holder flagged since was announced as it came.
            if grown:
                self._grow(pair, grown)
            self._asked_until[pair] = now
            return True
        evaluations = size_class(new)
        if self._spent[pair] + evaluations > self._protocol.budget:
            self.load.refused += 1
            return False
        self._spent[pair] += evaluations
        self._asked[pair] += new
        self._asked_until[pair] = now
        self._grow(pair, grown)
        load = self.load
        load.rounds += 1
        load.evaluations += evaluations
        load.by_collection[name] += evaluations
        load.bytes += question_bytes(evaluations) + FRAME_BYTES
        load.budget_spent = max(load.budget_spent, self._spent[pair] / self._protocol.budget)
        return True

    def _grow(self, pair: Pair, entries: int) -> None:
        self._told[pair] += entries
        self.load.bytes += table_bytes(entries)
