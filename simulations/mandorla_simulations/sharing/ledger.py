"""What sharing costs by set logic: each lab's questions to each other one, and each table's growth."""

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
    """How much each lab has seen and flagged, asked and told, and what that took.

    A question asks about what is new since the last one, padded, out of the budget of a key epoch.
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
        self._told: dict[Pair, int] = {}
        self._coming = [dict.fromkeys(collections, 0) for _ in self._labs]
        self._seen = [dict.fromkeys(collections, 0) for _ in self._labs]
        self._seen_until = -1
        self._flagged = [dict.fromkeys(collections, 0) for _ in self._labs]
        self._now = 0
        self._paces: dict[Pair, TokenBucket] = {}

    def see(self, lab: int, name: str, count: int = 1) -> None:
        """Count what a lab newly sees; it is asked about once `look` was called."""
        self._coming[lab][name] += count

    def look(self, now: int) -> None:
        """Say that all that was seen by now is counted."""
        for seen, coming in zip(self._seen, self._coming, strict=True):
            for name in self._collections:
                seen[name] += coming[name]
                coming[name] = 0
        self._seen_until = now

    def flag(self, lab: int, name: str, count: int = 1) -> None:
        """Count what a lab newly flags, or revokes."""
        self._flagged[lab][name] += count

    def asked_until(self, pair: Pair) -> int:
        """Return until when what a querier saw has been asked about; -1 for never."""
        return self._asked_until.get(pair, -1)

    def begin_epoch(self, flagged: Sequence[Mapping[str, int]]) -> None:
        """Begin new keys: everything is asked again, out of new budgets, and what is flagged is told again.

        `flagged` says how much of it there is now, by lab and collection.
        """
        for known in (self._spent, self._asked, self._asked_until, self._told):
            known.clear()
        for counts, live in zip(self._flagged, flagged, strict=True):
            counts.update({name: live.get(name, 0) for name in self._collections})

    def ask_in_batch(self, pair: Pair) -> bool:
        """Charge a lab's half of a batch round; say whether the budget allowed it."""
        if not self._charge(pair, BATCH_SMALLEST):
            return False
        self.load.bytes += FRAME_BYTES
        self._grow(pair, BATCH_SMALLEST)
        return True

    def stand(self, pair: Pair) -> None:
        """Charge a lab's half of a standing round for its beginning, which is that of a batch round."""
        self.ask_in_batch(pair)

    def ask_standing(self, pair: Pair, now: int, again: bool = False) -> bool:
        """Charge what a lab asks in a standing round; say whether pace and budget allowed it.

        `again` says that it was refused before, so that it is not counted as refused once more.
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
        """Charge what labs tell the others in standing rounds of what they flagged and revoked."""
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
        grown = self._flagged[holder][name] - self._told.get(pair, 0)
        # A table has a first version whether or not anything is flagged.
        padded = max(1, grown) if pair not in self._told else grown
        self._told[pair] = self._told.get(pair, 0) + grown
        self.load.bytes += table_bytes(padded, smallest)
