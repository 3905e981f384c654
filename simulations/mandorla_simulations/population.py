"""Honest users: the labs that they use, from when on, and the resources that they show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .draws import Stream
from .kinds import COLUMN, KINDS, ResourceKind
from .resources import NEVER, Resource, column_of, resource_of, serial_of
from .scenario.model import Scenario

Times = NDArray[np.int64]

_NONE = -1


@dataclass(frozen=True)
class Population:
    """Honest users, as arrays over the person.

    `arrivals[lab, person]`: when the person first uses the lab, in seconds; NEVER if the person does not.
    `serials[column, person]`: the serial number of the person's resource of a kind, or -1.
    `customer_of[person]`: the relay through which the person comes, or -1.
    `counts[column]`: the number of serials in use.
    `first_seen[column][lab, serial]`: when a person first shows the resource at the lab.
    """

    people: int
    arrivals: Times
    serials: Times
    customer_of: NDArray[np.int8]
    counts: tuple[int, ...]
    first_seen: tuple[Times, ...]
    public: dict[ResourceKind, tuple[Resource, ...]]
    signatures: tuple[Resource, ...]
    _holders: dict[Resource, Times] = field(default_factory=dict, repr=False)

    def holders(self, resource: Resource) -> Times:
        """Return the people who have a resource, at any lab; addresses of relays belong to nobody."""
        column, serial = column_of(resource), serial_of(resource)
        if serial >= self.counts[column]:
            return np.empty(0, dtype=np.int64)
        found = self._holders.get(resource)
        if found is None:
            found = self._holders[resource] = np.nonzero(self.serials[column] == serial)[0]
        return found

    def customers_at(self, relay: int, exits: int, slot: int) -> Times:
        """Return the customers of a relay behind one of its exits."""
        customers = np.nonzero(self.customer_of == relay)[0]
        return customers[slot::exits]

    def customers(self, relay: int, lab: int) -> int:
        """Count the people who use a lab through a relay."""
        return int(np.count_nonzero((self.customer_of == relay) & (self.arrivals[lab] < NEVER)))

    def resources_of(self, person: int) -> tuple[Resource | None, ...]:
        """Return a person's resources, one for each kind."""
        return tuple(
            resource_of(column, int(serial)) if serial != _NONE else None
            for column, serial in enumerate(self.serials[:, person])
        )


def make_population(scenario: Scenario, seed: int) -> Population:
    """Draw the honest users of a scenario."""
    benign, people = scenario.benign, scenario.benign.people
    stream = Stream(seed, "people")
    arrivals = np.stack(
        [
            _arrivals(
                Stream(seed, f"people at {lab.name}"), people, share, benign.newcomers, scenario.horizon
            )
            for lab, share in zip(scenario.labs, benign.memberships, strict=True)
        ]
    )
    serials = np.full((len(KINDS), people), _NONE, dtype=np.int64)
    counts = [0] * len(KINDS)
    companies = max(1, int(people * benign.company) // benign.company_size)
    employed = stream.units(people, 0) < benign.company
    company = (stream.units(people, 1) * companies).astype(np.int64)
    persons = np.arange(people, dtype=np.int64)

    payment, mail, device = (
        COLUMN[ResourceKind.PAYMENT],
        COLUMN[ResourceKind.MAIL_DOMAIN],
        COLUMN[ResourceKind.DEVICE],
    )
    address, signature = COLUMN[ResourceKind.ADDRESS], COLUMN[ResourceKind.RELAY]
    serials[payment] = np.where(employed, people + company, persons)
    serials[mail] = np.where(employed, company, _NONE)
    serials[device] = persons
    serials[address] = persons // benign.neighbours
    counts[payment], counts[mail], counts[device] = people + companies, companies, people
    counts[address] = people // benign.neighbours + 1

    public: dict[ResourceKind, tuple[Resource, ...]] = {}
    for kind, pool in benign.public.items():
        column = COLUMN[kind]
        purpose = 10 + 2 * column
        chosen = stream.units(people, purpose) < pool.users
        which = (stream.units(people, purpose + 1) * pool.resources).astype(np.int64)
        serials[column] = np.where(chosen, counts[column] + which, serials[column])
        public[kind] = tuple(resource_of(column, counts[column] + number) for number in range(pool.resources))
        counts[column] += pool.resources

    customer_of = np.full(people, -1, dtype=np.int8)
    draw, passed = stream.units(people, 2), 0.0
    for number, relay in enumerate(scenario.relays):
        chosen = (draw >= passed) & (draw < passed + relay.customers)
        passed += relay.customers
        customer_of[chosen] = number
        serials[signature][chosen] = number
        serials[address][chosen] = _NONE
    signatures = tuple(resource_of(signature, number) for number in range(len(scenario.relays)))
    counts[signature] = len(scenario.relays)

    first_seen = tuple(_first_seen(arrivals, serials[column], counts[column]) for column in range(len(KINDS)))
    return Population(people, arrivals, serials, customer_of, tuple(counts), first_seen, public, signatures)


def _arrivals(stream: Stream, people: int, share: float, newcomers: float, horizon: int) -> Times:
    member = stream.units(people, 0) < share
    late = stream.units(people, 1) < newcomers
    at = (stream.units(people, 2) * horizon).astype(np.int64)
    return np.where(member, np.where(late, at, 0), NEVER)


def _first_seen(arrivals: Times, serials: Times, count: int) -> Times:
    first = np.full((len(arrivals), count), NEVER, dtype=np.int64)
    has = serials != _NONE
    for lab, times in enumerate(arrivals):
        np.minimum.at(first[lab], serials[has], times[has])
    return first
