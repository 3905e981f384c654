"""The cost of sharing by set logic: the questions between labs, and the growth of tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mandorla_node.core.token_bucket import TokenBucket
from mandorla_node.rounds.pace import NEGLIGIBLE_WAIT, question_pace
from mandorla_protocol.sizes import BATCH_SMALLEST, STANDING_SMALLEST, size_class

from ..scenario.model import Protocol
from .channel import Load
from .costs import FRAME_BYTES, question_bytes, table_bytes

Pair = tuple[int, int, str]
"""Querier, holder, collection."""


class Ledger:
    """How much each lab has seen, flagged, asked about and announced, and the load of that.

    A question covers what the querier has seen since the last one, is padded, and spends the budget of a key
    epoch.
    """

    def __init__(self, labs: int, collections: Sequence[str], protocol: Protocol) -> None:
        self._labs = range(labs)
        self._collections = collections
        self._protocol = protocol
        self.load = Load(by_collection=dict.fromkeys(collections, 0))
        self.pairs: list[Pair] = [
            (querier, holder, name)
            for querier in self._labs
            for holder in self._labs
            if querier != holder
            for name in collections
        ]
        self._asked_until: dict[Pair, int] = {}
        self._asked: defaultdict[Pair, int] = defaultdict(int)
        self._spent: defaultdict[Pair, int] = defaultdict(int)
        self._published: dict[Pair, int] = {}
        self._pending = [dict.fromkeys(collections, 0) for _ in self._labs]
        self._seen = [dict.fromkeys(collections, 0) for _ in self._labs]
        self._seen_until = -1
        self._flagged = [dict.fromkeys(collections, 0) for _ in self._labs]
        self._now = 0
        self._paces: dict[Pair, TokenBucket] = {}

    def see(self, lab: int, name: str, count: int = 1) -> None:
        """Count resources that a lab newly sees; questions cover them after the next `end_period`."""
        self._pending[lab][name] += count

    def end_period(self, now: int) -> None:
        """Let questions cover all that the labs have seen by now."""
        for seen, pending in zip(self._seen, self._pending, strict=True):
            for name in self._collections:
                seen[name] += pending[name]
                pending[name] = 0
        self._seen_until = now

    def flag(self, lab: int, name: str, count: int = 1) -> None:
        """Count resources that a lab newly flags or revokes."""
        self._flagged[lab][name] += count

    def asked_until(self, pair: Pair) -> int:
        """Return the time up to which the querier has asked about its sightings; -1 if it never asked."""
        return self._asked_until.get(pair, -1)

    def begin_epoch(self, flagged: Sequence[Mapping[str, int]]) -> None:
        """Begin a key epoch: labs ask about all sightings again, with new budgets, and publish new tables.

        `flagged` is the number of live flags, by lab and collection.
        """
        for counts in (self._spent, self._asked, self._asked_until, self._published):
            counts.clear()
        for total, live in zip(self._flagged, flagged, strict=True):
            total.update({name: live.get(name, 0) for name in self._collections})

    def ask_in_batch(self, pair: Pair) -> bool:
        """Charge a querier's half of a batch round; return whether the budget allows it."""
        if not self._charge(pair, BATCH_SMALLEST):
            return False
        self.load.bytes += FRAME_BYTES
        self._grow(pair, BATCH_SMALLEST)
        return True

    def begin_standing(self, pair: Pair) -> None:
        """Charge the beginning of a querier's half of a standing round: as much as a batch round."""
        self.ask_in_batch(pair)

    def ask_standing(self, pair: Pair, now: int, again: bool = False) -> bool:
        """Charge a question in a standing round; return whether the pace and the budget allow it.

        `again` marks a question that was refused before: a second refusal is not counted.
        """
        querier, _, name = pair
        self._now = now
        if self._seen[querier][name] == self._asked[pair]:
            self._asked_until[pair] = self._seen_until
            return True
        pace = self._paces.get(pair)
        if pace is None:
            pace = self._paces[pair] = question_pace(self._protocol.budget, lambda: float(self._now))
        if pace.wait > NEGLIGIBLE_WAIT:
            return False
        before = self._spent[pair]
        if not self._charge(pair, STANDING_SMALLEST, again):
            return False
        pace.overdraw(self._spent[pair] - before)
        return True

    def announce(self, labs: Iterable[int]) -> None:
        """Charge the announcements of new flags and revocations of labs in standing rounds."""
        for holder in labs:
            for querier in self._labs:
                if querier != holder:
                    for name in self._collections:
                        self._grow((querier, holder, name), STANDING_SMALLEST)

    def _charge(self, pair: Pair, smallest: int, again: bool = False) -> bool:
        querier, _, name = pair
        new = self._seen[querier][name] - self._asked[pair]
        evaluations = size_class(new, smallest)
        load = self.load
        if self._spent[pair] + evaluations > self._protocol.budget:
            load.refused += not again
            return False
        self._spent[pair] += evaluations
        self._asked[pair] += new
        self._asked_until[pair] = self._seen_until
        load.rounds += 1
        load.evaluations += evaluations
        load.by_collection[name] += evaluations
        load.bytes += question_bytes(evaluations)
        load.budget_spent = max(load.budget_spent, self._spent[pair] / self._protocol.budget)
        return True

    def _grow(self, pair: Pair, smallest: int) -> None:
        _, holder, name = pair
        grown = self._flagged[holder][name] - self._published.get(pair, 0)
        # The first version of a table exists even without flags.
        padded = max(1, grown) if pair not in self._published else grown
        self._published[pair] = self._published.get(pair, 0) + grown
        self.load.bytes += table_bytes(padded, smallest)
