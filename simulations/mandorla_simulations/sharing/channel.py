"""Channels: a channel takes flags and sightings, and returns which lab learns of which match, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..resources import Resource


class Match(NamedTuple):
    """A querier has seen a resource that a holder flagged; the match ends when the flag expires."""

    querier: int
    holder: int
    resource: Resource
    expires: int


class JustFlagged:
    """The flags of the present second, in order: labs learn of their matches in the same order."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, Resource], int] = {}

    def add(self, holder: int, resource: Resource) -> None:
        """Add a flag."""
        self._places[holder, resource] = len(self._places)

    def sort(self, matches: Iterable[Match]) -> list[Match]:
        """Sort the matches of this second by their flags, and begin the next second."""
        places, self._places = self._places, {}
        last = len(places)
        return sorted(matches, key=lambda one: (places.get((one.holder, one.resource), last), one))


class Delivery(NamedTuple):
    """A match, and the time at which the querier learns of it."""

    at: int
    match: Match


@dataclass
class Load:
    """The cost of sharing: questions asked and refused, evaluations with padding, bytes, and spent budgets.

    A lab asks another lab once in a batch round. In a standing round it asks at the beginning, and each time
    it has seen new resources.
    """

    rounds: int = 0
    refused: int = 0
    evaluations: int = 0
    bytes: int = 0
    budget_spent: float = 0.0
    """The largest share of its budget that any querier spent in any key epoch."""

    by_collection: dict[str, int] = field(default_factory=dict)
    """Evaluations, by collection."""


class Channel(Protocol):
    """A way of sharing between the labs of a run."""

    due: int
    """The second at whose end the next round is; NEVER without rounds. A flag may make it earlier."""

    load: Load

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Take a flag of a lab."""

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Take a lab's first sighting of a resource."""

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Take a lab's first sighting of a relay's exits during a lease."""

    def round(self, now: int) -> Sequence[Delivery]:
        """Run the rounds that are due."""
