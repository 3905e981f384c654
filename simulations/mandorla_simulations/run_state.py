"""The state of a run that attackers and labs change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from .attackers import Attacker
from .defences import Defences
from .event_queue import Event, EventQueue
from .kinds import COLUMN, Ending, PeerAction, ResourceKind
from .population import Population
from .resources import Resource, ResourceBook
from .run_record import Accounts
from .scenario.model import Scenario
from .sharing.channel import Channel, Delivery
from .sightings import Sightings

ChannelFactory = Callable[[Sightings, ResourceBook], Channel]

ADDRESS: Final = COLUMN[ResourceKind.ADDRESS]


class RunState:
    """The accounts, attackers, labs and events of a run, and the channel between the labs.

    Only the run knows which accounts belong to attackers; labs and channels do not.
    """

    def __init__(
        self, scenario: Scenario, population: Population, seed: int, make_channel: ChannelFactory
    ) -> None:
        self.scenario = scenario
        self.population = population
        self.queue = EventQueue(scenario.horizon)
        self.turnover = tuple(relay.turnover for relay in scenario.relays)
        exits = tuple(relay.exits for relay in scenario.relays)
        leases = tuple(scenario.horizon // turnover + 1 for turnover in self.turnover)
        self.book = ResourceBook(population.counts, exits, leases)
        self.sightings = Sightings(len(scenario.labs), population, self.book)
        self.channel = make_channel(self.sightings, self.book)
        self.attackers = [
            Attacker(campaign, scenario, population, self.book, seed) for campaign in scenario.campaigns
        ]
        self.defences = [Defences(index, scenario) for index in range(len(scenario.labs))]
        self.accounts = Accounts()
        self.attacker_of: list[Attacker] = []
        """The attacker of each account."""

        self.number_of: list[int] = []
        """The number of each account among those of its attacker."""

        self.living: dict[int, None] = {}
        """The accounts that live, in the order in which they were opened."""

        self.present: defaultdict[tuple[int, int], int] = defaultdict(int)
        """How many accounts come from each relay to each lab."""

        self.by_exit: dict[tuple[int, int, int], list[int]] = {}
        """The accounts behind each relay, lease and exit; kept only if labs act on addresses."""

        self.used_by_attackers: set[Resource] = set()
        policy = scenario.policy
        self.addresses_matter = (
            ResourceKind.ADDRESS in policy.own
            or policy.peers.get(ResourceKind.ADDRESS, PeerAction.IGNORE) is not PeerAction.IGNORE
        )

    def is_over(self, account: int) -> bool:
        """Return whether an account has ended."""
        return self.accounts.ending[account] is not Ending.NONE

    def exit_key(self, account: int, now: int) -> tuple[int, int, int]:
        """Return the relay, lease and exit behind which an account is."""
        attacker = self.attacker_of[account]
        lease = now // self.turnover[attacker.relay]
        return attacker.relay, lease, attacker.exit_slot(self.number_of[account], lease)

    def address_of(self, account: int, now: int) -> Resource:
        """Return the address from which an account comes."""
        return self.book.exit_address(*self.exit_key(account, now))

    def shown_by(self, account: int, now: int) -> list[Resource | None]:
        """Return the resources that an account shows, its address included."""
        shown = list(self.accounts.equipment[account])
        shown[ADDRESS] = self.address_of(account, now)
        return shown

    def deliver(self, deliveries: Iterable[Delivery]) -> None:
        """Have labs learn of matches when the channel delivers them."""
        for at, match in deliveries:
            self.queue.schedule(at, Event.HEAR, match)
