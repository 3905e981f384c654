"""Honest users whom labs block: by mistake, or because they share a resource with an attacker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .draws import Stream
from .kinds import COLUMN, Ending, ResourceKind
from .population import Population, Times
from .resources import NEVER, Resource, ResourceBook
from .scenario.model import Scenario
from .scenario.units import DAY

_ADDRESS = COLUMN[ResourceKind.ADDRESS]


class Bystanders:
    """The honest users of a run, and when and why each lab blocked them (by lab and person)."""

    def __init__(self, scenario: Scenario, people: Population, book: ResourceBook, seed: int) -> None:
        self._scenario = scenario
        self._people = people
        self._book = book
        self._seed = seed
        self._errs = scenario.policy.review.errs
        self._reviews = [Stream(seed, f"reviews at {lab.name}") for lab in scenario.labs]
        self.blocked: Times = np.full(people.arrivals.shape, NEVER, dtype=np.int64)
        self.ending = np.zeros(people.arrivals.shape, dtype=np.int8)

    @property
    def visits(self) -> int:
        """The number of pairs of a person and a lab that the person uses before the horizon."""
        return int(np.count_nonzero(self._people.arrivals < self._scenario.horizon))

    def block(self, lab: int, resource: Resource, now: int, until: int, ending: Ending) -> None:
        """Block the people who show a resource, now or when they arrive, until the flag expires."""
        self._block(lab, self._showing(lab, resource, now, until), now, ending)

    def review(self, lab: int, resource: Resource, now: int, until: int, done: int) -> None:
        """Review the people who show a resource; at the end of the review, some are blocked by mistake."""
        people = self._showing(lab, resource, now, until)
        if len(people):
            errs = self._reviews[lab].units(self._people.people) < self._errs
            self._block(lab, people[errs[people]], done, Ending.REVIEWED)

    def mistakes(self) -> Iterator[tuple[int, int, int]]:
        """Yield each false positive of a signal: its time, lab and person."""
        horizon, arrivals = self._scenario.horizon, self._people.arrivals
        for lab, described in enumerate(self._scenario.labs):
            present = horizon - np.minimum(arrivals[lab], horizon)
            for number, signal in enumerate(self._scenario.signals):
                stream = Stream(self._seed, f"false positives of {described.name} by signal {number}")
                chance = present * (signal.false_positives / DAY)
                for person in np.nonzero(stream.units(self._people.people, 0) < chance)[0].tolist():
                    arrival = int(arrivals[lab, person])
                    at = arrival + int(stream.unit(person, 1) * (horizon - arrival)) + signal.delay
                    yield at, lab, person

    def convict(self, lab: int, person: int, now: int) -> list[Resource | None]:
        """Block a person by mistake; return what the person shows, nothing if the block exists already."""
        if self.blocked[lab, person] <= now:
            return []
        self._block(lab, np.array([person]), now, Ending.DETECTED)
        shown = list(self._people.resources_of(person))
        number = int(self._people.customer_of[person])
        if number >= 0:
            relay = self._scenario.relays[number]
            customers = np.nonzero(self._people.customer_of == number)[0]
            slot = int(np.searchsorted(customers, person)) % relay.exits
            shown[_ADDRESS] = self._book.exit_address(number, now // relay.turnover, slot)
        return shown

    def _showing(self, lab: int, resource: Resource, now: int, until: int) -> Times:
        """Return the people who show a resource; for an address of a relay, those who have it now."""
        relay_exit = self._book.exit_of(resource)
        if relay_exit is None:
            people = self._people.holders(resource)
        else:
            number, lease, slot = relay_exit
            relay = self._scenario.relays[number]
            if lease != now // relay.turnover:
                return np.empty(0, dtype=np.int64)
            people = self._people.customers_at(number, relay.exits, slot)
        present: Times = people[self._people.arrivals[lab, people] < until]
        return present

    def _block(self, lab: int, people: Times, now: int, ending: Ending) -> None:
        at = np.maximum(self._people.arrivals[lab, people], now)
        sooner = (at < self.blocked[lab, people]) & (at < self._scenario.horizon)
        self.blocked[lab, people[sooner]] = at[sooner]
        self.ending[lab, people[sooner]] = ending
