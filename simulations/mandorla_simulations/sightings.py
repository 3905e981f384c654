"""The resources that each lab has seen, and since when."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mandorla_protocol.indicators import Collection

from .kinds import COLUMN, KINDS, ResourceKind
from .population import Population
from .resources import NEVER, Resource, ResourceBook, column_of, resource_of, serial_of


class Sightings:
    """First sightings by lab. Those of honest users are known from the start, so some lie in the future."""

    def __init__(self, labs: int, population: Population, book: ResourceBook) -> None:
        self._population = population
        self._book = book
        self._attackers: tuple[dict[Resource, int], ...] = tuple({} for _ in range(labs))
        self._leases: tuple[dict[tuple[int, int], int], ...] = tuple({} for _ in range(labs))
        self._address = COLUMN[ResourceKind.ADDRESS]
        self._benign = population.counts

    def first(self, lab: int, resource: Resource) -> int:
        """Return when a lab first sees a resource; NEVER if it is not known to."""
        column, serial = column_of(resource), serial_of(resource)
        if serial < self._benign[column]:
            benign = int(self._population.first_seen[column][lab, serial])
            return min(benign, self._attackers[lab].get(resource, NEVER))
        if column == self._address and (relay_exit := self._book.exit_of(resource)) is not None:
            return self._leases[lab].get(relay_exit[:2], NEVER)
        return self._attackers[lab].get(resource, NEVER)

    def record(self, lab: int, resource: Resource, now: int) -> bool:
        """Record that an account shows a resource; return whether the lab sees it for the first time."""
        if self.first(lab, resource) <= now:
            return False
        self._attackers[lab][resource] = now
        return True

    def record_lease(self, lab: int, relay: int, lease: int, now: int) -> bool:
        """Record that a lab sees a relay's exits during a lease; return whether it is the first time."""
        leases = self._leases[lab]
        if (relay, lease) in leases:
            return False
        leases[relay, lease] = now
        return True

    def of_people(self, lab: int, after: int, until: int) -> list[Resource]:
        """Return the resources that honest users first show a lab in (after, until]."""
        return [
            resource_of(column, int(serial))
            for column, first in enumerate(self._population.first_seen)
            for serial in np.nonzero((first[lab] > after) & (first[lab] <= until))[0]
        ]

    def benign_by_window(
        self, lab: int, period: int, windows: int, collections: Mapping[ResourceKind, Collection]
    ) -> dict[str, list[int]]:
        """Count the resources that honest users first show in each window, by collection.

        Window n ends at n * period seconds, inclusive. Window 0 holds what the lab saw before the start.
        """
        counted = {
            collection.value: np.zeros(windows + 1, dtype=np.int64) for collection in collections.values()
        }
        for column, first in enumerate(self._population.first_seen):
            times = first[lab]
            ends = -(-times[times < NEVER] // period)
            counts = np.bincount(ends[ends <= windows], minlength=windows + 1)
            counted[collections[KINDS[column]].value] += counts
        return {name: counts.tolist() for name, counts in counted.items()}
