"""Attackers: where they open accounts, with which resources, and what they learn from a block."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Final

from .draws import Stream
from .kinds import CHANGEABLE, COLUMN, KINDS, ResourceKind
from .population import Population
from .resources import Resource, ResourceBook, kind_of
from .scenario.model import Campaign, Rotate, Scenario
from .scenario.units import DAY

_EVERYWHERE: Final = -1

# Purposes of an account's draws.
_LAB, _PULL, _REPLACE, _INSIGHT, _MOVES, _MOVE_AT, _RATE, _PHASE, _REVIEW = range(9)
_SIGNAL: Final = 1_000_000
_EXIT: Final = 1_000
# Purposes of the draws for an entry of a pool.
_REUSED, _PUBLIC, _WHICH = range(3)

Equipment = tuple[Resource | None, ...]
"""An account's resources, by the column of their kind. The address is None: it comes from the relay."""


class _Supply:
    """The resources of one kind: a sequence of entries, each used by some accounts at each lab."""

    def __init__(self, attacker: Attacker, kind: ResourceKind) -> None:
        self._attacker = attacker
        self._kind = kind
        self._column = COLUMN[kind]
        self._pool = attacker.campaign.resources[kind]
        self._stream = Stream(attacker.seed, f"{attacker.campaign.name} {kind}")
        self._entries: dict[tuple[int, int], Resource] = {}
        self._used: defaultdict[int, int] = defaultdict(int)
        self._dropped: set[Resource] = set()
        # The relay's signature is paid for with its exits.
        self._paid: set[Resource] = {attacker.signature}
        self._capacity = self._pool.accounts
        self._first = 0
        self._spread = attacker.campaign.rotation.policy is Rotate.HYDRA
        self.split = False

    def next(self, lab: int) -> Resource:
        """Return the resource for the next account at a lab."""
        # A hydra spreads each resource over all labs at once. Other attackers use the same resources again at
        # the next lab.
        queue = _EVERYWHERE if self._spread and not self.split else lab
        while True:
            entry = self._used[queue] // self._capacity
            resource = self._entry(self._first + entry, lab)
            if resource not in self._dropped:
                self._used[queue] += 1
                self._pay_for(resource)
                return resource
            self._used[queue] = (entry + 1) * self._capacity

    def separate(self) -> None:
        """Use each further resource at one lab only, for no more accounts there than before."""
        if not self.split:
            self.split = True
            self._divide(self._attacker.presence if self._spread else 1)

    def thin(self) -> None:
        """Use further resources for half as many accounts each."""
        self._divide(2)

    def _divide(self, by: int) -> None:
        # The numbers of entries change with the capacity: start after all entries that exist.
        self._first += 1 + max((entry for entry, _ in self._entries), default=0)
        self._capacity = max(1, self._capacity // by)
        self._used.clear()

    def drop(self, resource: Resource) -> None:
        """Use a resource for no further account."""
        self._dropped.add(resource)

    def substitute(self) -> Resource | None:
        """Buy a resource that nobody else has; None if the attacker cannot pay for it."""
        if self._attacker.money < self._pool.cost:
            return None
        resource = self._attacker.book.fresh(self._column)
        self._pay_for(resource)
        return resource

    def _pay_for(self, resource: Resource) -> None:
        if resource not in self._paid:
            self._paid.add(resource)
            self._attacker.spend(self._pool.cost)

    def _entry(self, entry: int, lab: int) -> Resource:
        resource = self._entries.get((entry, _EVERYWHERE)) or self._entries.get((entry, lab))
        if resource is None:
            everywhere = not self.split and self._stream.unit(entry, _REUSED) < self._pool.reuse
            key = (entry, _EVERYWHERE if everywhere else lab)
            resource = self._entries[key] = self._acquire(entry, key[1])
        return resource

    def _acquire(self, entry: int, lab: int) -> Resource:
        attacker = self._attacker
        if self._kind is ResourceKind.RELAY and entry == 0:
            return attacker.signature
        public = [one for one in attacker.public.get(self._kind, ()) if one not in self._dropped]
        purpose = 10 * attacker.number_of(lab)
        if public and self._stream.unit(entry, purpose + _PUBLIC) < self._pool.public:
            return public[self._stream.below(len(public), entry, purpose + _WHICH)]
        return attacker.book.fresh(self._column)


class Attacker:
    """The attacker behind a campaign: its resources, its knowledge, and its next steps."""

    def __init__(
        self, campaign: Campaign, scenario: Scenario, population: Population, book: ResourceBook, seed: int
    ) -> None:
        names = [lab.name for lab in scenario.labs]
        relay = [relay.name for relay in scenario.relays].index(campaign.relay)
        self.campaign = campaign
        self.seed = seed
        self.book = book
        self.public = population.public
        self.relay = relay
        self.signature = population.signatures[relay]
        self.end = min(campaign.end or scenario.horizon, scenario.horizon)
        self.spent = 0
        self.opened = 0
        self._reserved = 0
        self._lessons_on_sharing: Counter[ResourceKind] = Counter()
        self._lessons_on_size: Counter[ResourceKind] = Counter()
        self._exits = scenario.relays[relay].exits
        self._labs = tuple(names.index(name) for name in campaign.labs)
        self.presence = len(self._labs)
        self._blamed: defaultdict[Resource, set[int]] = defaultdict(set)
        self._stream = Stream(seed, campaign.name)
        self._supplies = {kind: _Supply(self, kind) for kind in campaign.resources}
        self._by_column = [self._supplies.get(kind) for kind in KINDS]
        self._active = 0
        self._recent: deque[int] = deque()
        self._pull: int | None = None
        self._rate = campaign.rate
        thresholds = [signal.threshold for signal in scenario.signals if signal.on == "volume"]
        if campaign.stealth is not None and thresholds:
            self._rate = min(self._rate, campaign.stealth * min(thresholds))

    def spend(self, cents: int) -> None:
        """Pay for something."""
        self.spent += cents

    def number_of(self, lab: int) -> int:
        """Return the position of a lab among the campaign's labs, from 1; 0 stands for all labs together."""
        return 0 if lab == _EVERYWHERE else 1 + self._labs.index(lab)

    def slot_start(self, slot: int) -> int:
        """Return when a slot of the pool opens its first account; slots are spread evenly over the ramp."""
        return self.campaign.start + self.campaign.ramp * slot // self.campaign.pool

    def reserve(self, now: int) -> int | None:
        """Reserve the next account of the supply; return its time, or None if the campaign cannot go on."""
        campaign = self.campaign
        beyond = self._reserved + 1 - campaign.pool
        ready = campaign.start
        if beyond > 0:
            if campaign.supply <= 0:
                return None
            ready += int(beyond * DAY / campaign.supply)
        at = max(now, ready)
        if at >= self.end:
            return None
        self._reserved += 1
        return at

    @property
    def money(self) -> int:
        """The rest of the budget, in cents; negative if the last account's resources cost more."""
        return self.campaign.budget - self.spent

    @property
    def can_pay(self) -> bool:
        """Whether the budget allows one more account."""
        return self.campaign.account_cost <= self.money

    def choose_lab(self, account: int, now: int) -> int:
        """Choose the lab for a new account."""
        rotation, labs = self.campaign.rotation, self._labs
        pivot = rotation.pivot
        if self._pull is not None and pivot and self._stream.cached_unit(account, _PULL) < pivot.share:
            return self._pull
        match rotation.policy:
            case Rotate.STAY:
                return labs[0]
            case Rotate.ROUND_ROBIN:
                return labs[(now - self.campaign.start) // rotation.period % len(labs)]
            case Rotate.FAIL_OVER:
                return labs[self._active]
            case Rotate.HYDRA:
                return labs[int(self._stream.cached_unit(account, _LAB) * len(labs))]

    def equip(self, lab: int) -> Equipment:
        """Pay for an account at a lab, and return resources for it."""
        self.opened += 1
        self.spend(self.campaign.account_cost)
        return tuple([None if supply is None else supply.next(lab) for supply in self._by_column])

    def rate(self, account: int) -> int:
        """Return the exchanges that an account makes in a day."""
        spread = self.campaign.spread * (2 * self._stream.cached_unit(account, _RATE) - 1)
        return max(1, round(self._rate * (1 + spread)))

    def phase(self, account: int) -> int:
        """Return which part of its first exchange an account starts with, in units of 1/86,400."""
        return int(self._stream.cached_unit(account, _PHASE) * DAY)

    def exit_slot(self, account: int, lease: int) -> int:
        """Return the exit behind which an account is during a lease."""
        return self._stream.below(self._exits, account, _EXIT + lease)

    def replacement_delay(self, account: int) -> int:
        """Return the seconds until a lost account is replaced: 0.5 to 1.5 times `replace`."""
        return int(self.campaign.replace * (0.5 + self._stream.cached_unit(account, _REPLACE)))

    def moves(self, account: int) -> int | None:
        """Return the seconds until an account moves to a lab with a release; None if it stays."""
        pivot = self.campaign.rotation.pivot
        if pivot is None or self._stream.unit(account, _MOVES) >= pivot.share:
            return None
        return self._stream.below(pivot.within, account, _MOVE_AT)

    def hear_of_release(self, lab: int) -> bool:
        """Take note of a release; return whether the attacker moves accounts to it."""
        if self.campaign.rotation.pivot is None or lab not in self._labs:
            return False
        self._pull = lab
        return True

    def notice_block(self, lab: int, now: int) -> None:
        """Count a lost account, and fail over to the next lab after too many losses."""
        rotation = self.campaign.rotation
        if rotation.policy is not Rotate.FAIL_OVER or lab != self._labs[self._active]:
            return
        recent = self._recent
        recent.append(now)
        while recent[0] <= now - rotation.window:
            recent.popleft()
        if len(recent) >= max(1, rotation.moves_after * self.campaign.pool):
            self._active = (self._active + 1) % len(self._labs)
            recent.clear()

    def learn(self, account: int, lab: int, cause: Resource | None) -> Resource | None:
        """Learn from a block, if the attacker adapts; return the resource that it drops.

        The attacker finds the cause with probability `insight`, and otherwise learns nothing. From a cause at
        a second lab it concludes that the labs share. From a cause at the first lab it concludes that too
        many accounts used the resource.
        """
        adaptive = self.campaign.adaptive
        if adaptive is None or cause is None or self._stream.unit(account, _INSIGHT) >= adaptive.insight:
            return None
        kind, blamed = kind_of(cause), cause
        if kind not in self._supplies:
            return None
        supply, labs = self._supplies[kind], self._blamed[blamed]
        supply.drop(blamed)
        if lab not in labs:
            labs.add(lab)
            lessons = self._lessons_on_sharing if len(labs) > 1 else self._lessons_on_size
            lessons[kind] += 1
            if len(labs) > 1 and lessons[kind] >= adaptive.split_after:
                supply.separate()
            elif len(labs) == 1 and lessons[kind] % adaptive.thin_after == 0:
                supply.thin()
        return blamed

    def substitute(self, resource: Resource) -> Resource | None:
        """Buy a replacement for a resource of living accounts; None if it cannot be changed or paid for."""
        kind = kind_of(resource)
        return self._supplies[kind].substitute() if kind in CHANGEABLE else None

    def detection_draw(self, account: int, signal: int, attempt: int) -> float:
        """Draw for the time until a signal detects an account."""
        purpose = _SIGNAL * (signal + 1) + attempt
        return self._stream.unit(account, purpose) if attempt else self._stream.cached_unit(account, purpose)

    def review_draw(self, account: int) -> float:
        """Draw for whether a review catches an account."""
        return self._stream.unit(account, _REVIEW)
