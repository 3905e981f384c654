"""What a channel is: it hears of flags and sightings, and says who learns what, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..resources import Resource


class Match(NamedTuple):
    """A querier has seen what a holder flagged, until the flag expires."""

    querier: int
    holder: int
    resource: Resource
    expires: int


class JustFlagged:
    """What was flagged in the present second, in order: labs hear of it in the same order."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, Resource], int] = {}

    def add(self, holder: int, resource: Resource) -> None:
        """Note a flag."""
        self._places[holder, resource] = len(self._places)

    def sort(self, matches: Iterable[Match]) -> list[Match]:
        """Sort what is heard at the end of the second, which is over then."""
        places, self._places = self._places, {}
        last = len(places)
        return sorted(matches, key=lambda one: (places.get((one.holder, one.resource), last), one))


class Delivery(NamedTuple):
    """A match, and when the querier learns of it."""

    at: int
    match: Match


@dataclass
class Load:
    """What sharing cost: questions, and those refused; evaluations with padding; bytes; the fullest budget.

    A lab asks another one once in a batch round, and in a standing one as it begins and when it sees more.
    """

    rounds: int = 0
    refused: int = 0
    evaluations: int = 0
    bytes: int = 0
    budget_spent: float = 0.0
    """The largest share of a budget that any querier spent in any key epoch."""

    by_collection: dict[str, int] = field(default_factory=dict)
    """Evaluations."""


class Channel(Protocol):
    """One way of sharing among the labs of a run."""

    due: int
    """When the next round is, at the end of that second; NEVER if none is. A flag may bring it forward."""

    load: Load

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Hear that a lab flags a resource."""

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Hear that a lab sees a resource for the first time."""

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Hear that a lab sees the exits of a relay at new addresses."""

    def round(self, now: int) -> Sequence[Delivery]:
        """Run the rounds that are due."""
