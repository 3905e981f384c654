"""One run: events in order of time, to the second.

The world knows who is an attacker; labs and channels do not. An event is something that an attacker, a lab or
a channel does at a time; each may bring others about. Two runs of one seed differ only by what they share.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from .attackers import AttackOperator
from .bystanders import Bystanders
from .defences import Defences
from .draws import waiting_time
from .kinds import COLUMN, Action, Ending, OwnAction, ResourceKind
from .population import Population
from .record import Accounts, Block, Flag, Record, Told
from .resources import NEVER, Resource, ResourceBook, kind_of
from .scenario.model import DetectionSignal, Scenario
from .scenario.units import DAY, HOUR
from .sharing.channel import Channel, Delivery, Match
from .sightings import Sightings

ChannelFactory = Callable[[Sightings, ResourceBook], Channel]

_FIRST, _LAST = 0, 1
"""Among events of one second, a round comes last: it sees all that happened by then."""

_ADDRESS: Final = COLUMN[ResourceKind.ADDRESS]
_VOLUME: Final = -1

Event = tuple[int, int, int, Callable[..., None], tuple[object, ...]]


class World:
    """The state of a run."""

    def __init__(
        self, scenario: Scenario, population: Population, seed: int, make_channel: ChannelFactory
    ) -> None:
        self._scenario = scenario
        self._policy = scenario.policy
        self._people = population
        self._horizon = scenario.horizon
        self._turnover = tuple(relay.turnover for relay in scenario.relays)
        exits = tuple(relay.exits for relay in scenario.relays)
        leases = tuple(self._horizon // turnover + 1 for turnover in self._turnover)
        self._book = ResourceBook(population.counts, exits, leases)
        self._sightings = Sightings(len(scenario.labs), population, self._book)
        self._channel = make_channel(self._sightings, self._book)
        self._operators = [
            AttackOperator(campaign, scenario, population, self._book, seed)
            for campaign in scenario.campaigns
        ]
        self._defences = [Defences(index, scenario) for index in range(len(scenario.labs))]
        self._signals = [
            (number, _VOLUME if signal.on == "volume" else COLUMN[ResourceKind(signal.on)], signal)
            for number, signal in enumerate(scenario.signals)
        ]
        self._addresses_act = (
            ResourceKind.ADDRESS in self._policy.own
            or self._policy.peers.get(ResourceKind.ADDRESS, Action.IGNORE) is not Action.IGNORE
        )
        self._bystanders = Bystanders(scenario, population, self._book, seed)
        self._accounts = Accounts()
        self._operator_of: list[AttackOperator] = []
        self._number_of: list[int] = []
        self._flags: list[Flag] = []
        self._matches: list[Told] = []
        self._blocks: list[Block] = []
        self._by_exit: dict[tuple[int, int, int], list[int]] = {}
        self._used_by_attackers: set[Resource] = set()
        # The accounts that live, in order of opening, and how many come from each relay to each lab.
        self._living: dict[int, None] = {}
        self._present: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._next_round = NEVER
        self._queue: list[Event] = []
        self._order = 0

    def run(self) -> Record:
        """Run to the horizon and return what happened."""
        self._begin()
        queue = self._queue
        while queue:
            now, _, _, do, arguments = heapq.heappop(queue)
            if now >= self._horizon:
                break
            do(now, *arguments)
        self._finish()
        return Record(
            self._accounts,
            self._flags,
            self._matches,
            self._blocks,
            [operator.spent for operator in self._operators],
            self._bystanders.blocked,
            self._bystanders.ending,
            self._bystanders.visits,
            self._channel.load,
        )

    def _at(self, time: int, do: Callable[..., None], *arguments: object, place: int = _FIRST) -> None:
        if time < self._horizon:
            self._order += 1
            heapq.heappush(self._queue, (time, place, self._order, do, arguments))

    def _begin(self) -> None:
        for index, operator in enumerate(self._operators):
            for slot in range(operator.campaign.pool):
                self._at(operator.slot_start(slot), self._replace, index, slot, None)
            self._at(operator.end, self._finish_campaign, index)
        for index, lab in enumerate(self._scenario.labs):
            for release in lab.releases:
                self._at(release, self._release, index)
        for relay in range(len(self._turnover)):
            self._at(0, self._lease, relay, 0)
        for at, where, person in self._bystanders.mistakes():
            self._at(at, self._convict_wrongly, where, person)
        self._await_round()

    def _finish(self) -> None:
        accounts = self._accounts
        for account in self._living:
            accounts.ended[account] = self._operator_of[account].end

    def _finish_campaign(self, now: int, campaign: int) -> None:
        """Give up the accounts of a campaign that is over."""
        for account in [one for one in self._living if self._accounts.campaign[one] == campaign]:
            self._end(account, now, Ending.FINISHED, None)

    # What attackers do.

    def _replace(self, now: int, campaign: int, slot: int, lab: int | None) -> None:
        """Open an account in a slot as soon as one can be had."""
        at = self._operators[campaign].reserve(now)
        if at is not None:
            self._at(at, self._open, campaign, slot, lab)

    def _open(self, now: int, campaign: int, slot: int, lab: int | None) -> None:
        """Open an account, at the lab that the campaign's policy chooses unless one is given."""
        operator = self._operators[campaign]
        if not operator.can_pay:
            return
        number = operator.opened
        chosen = operator.choose_lab(number, now) if lab is None else lab
        equipment = operator.equip(chosen)
        accounts, account = self._accounts, len(self._accounts)
        accounts.campaign.append(campaign)
        accounts.lab.append(chosen)
        accounts.slot.append(slot)
        accounts.opened.append(now)
        accounts.ended.append(now)
        accounts.ending.append(Ending.NONE)
        accounts.rate.append(operator.rate(number))
        accounts.phase.append(operator.phase(number))
        accounts.equipment.append(equipment)
        self._operator_of.append(operator)
        self._number_of.append(number)
        defences = self._defences[chosen]
        shown = [resource for resource in equipment if resource is not None]
        for resource in shown:
            self._show(chosen, resource, now)
        self._show_exits(chosen, operator.relay, now)
        checked = [*shown, self._address_of(account, now)] if self._addresses_act else shown
        cause = defences.blocking(checked, now)
        if cause is not None:
            self._end(account, now, Ending.REFUSED, cause)
            return
        self._living[account] = None
        self._present[operator.relay, chosen] += 1
        for resource in shown:
            self._join(account, resource, now)
        if self._addresses_act:
            self._by_exit.setdefault(self._exit_key(account, now), []).append(account)
        self._await_detection(account, now)

    def _join(self, account: int, resource: Resource, now: int) -> None:
        defences = self._defences[self._accounts.lab[account]]
        defences.members[resource].append(account)
        defences.live[resource] += 1
        if defences.is_reviewed(resource, now):
            self._at(now + self._policy.review.delay, self._review, account, resource)

    def _show(self, lab: int, resource: Resource, now: int) -> None:
        self._used_by_attackers.add(resource)
        if self._sightings.record(lab, resource, now):
            self._deliver_later(self._channel.observed(lab, resource, now))

    def _show_exits(self, lab: int, relay: int, now: int) -> None:
        """See a relay's exits: all that it has now, since its accounts are spread over them."""
        lease = now // self._turnover[relay]
        if self._sightings.record_lease(lab, relay, lease, now):
            self._deliver_later(self._channel.observed_exits(lab, relay, lease, now))

    def _lease(self, now: int, relay: int, lease: int) -> None:
        """Give a relay's exits new addresses."""
        self._at(now + self._turnover[relay], self._lease, relay, lease + 1)
        labs = {lab for lab in range(len(self._defences)) if self._people.customers(relay, lab)}
        labs |= {lab for lab in range(len(self._defences)) if self._present[relay, lab]}
        for lab in sorted(labs):
            self._show_exits(lab, relay, now)
        if self._addresses_act:
            self._by_exit = {key: users for key, users in self._by_exit.items() if key[0] != relay}
            for account in self._living:
                if self._operator_of[account].relay == relay:
                    self._by_exit.setdefault(self._exit_key(account, now), []).append(account)

    def _release(self, now: int, lab: int) -> None:
        """Release a model at a lab: some campaigns move accounts there."""
        going = {index for index, operator in enumerate(self._operators) if operator.hear_of_release(lab)}
        accounts = self._accounts
        for account in self._living:
            if accounts.campaign[account] in going and accounts.lab[account] != lab:
                after = self._operator_of[account].moves(self._number_of[account])
                if after is not None:
                    self._at(now + after, self._move, account, lab)

    def _move(self, now: int, account: int, lab: int) -> None:
        if self._accounts.ending[account] is not Ending.NONE:
            return
        campaign, slot = self._accounts.campaign[account], self._accounts.slot[account]
        at = self._operators[campaign].reserve(now)
        if at is not None:
            self._end(account, now, Ending.MOVED, None)
            self._at(at, self._open, campaign, slot, lab)

    def _end(self, account: int, now: int, ending: Ending, cause: Resource | None) -> None:
        """End an account, and let its operator notice in time."""
        accounts = self._accounts
        operator = self._operator_of[account]
        lab = accounts.lab[account]
        if ending is not Ending.REFUSED:
            del self._living[account]
            self._present[operator.relay, lab] -= 1
            live = self._defences[lab].live
            for resource in accounts.equipment[account]:
                if resource is not None:
                    live[resource] -= 1
        accounts.ending[account] = ending
        accounts.ended[account] = min(now, operator.end)
        if ending in {Ending.MOVED, Ending.FINISHED}:
            return
        silent = self._policy.silent and ending is not Ending.REFUSED
        self._at(now + (self._policy.notice if silent else 0), self._notice, account, cause)

    def _notice(self, now: int, account: int, cause: Resource | None) -> None:
        """Notice the loss of an account: learn from it, and replace it."""
        accounts, operator = self._accounts, self._operator_of[account]
        number = self._number_of[account]
        operator.notice_block(accounts.lab[account], now)
        blamed = operator.learn(number, accounts.lab[account], cause)
        adaptive = operator.campaign.adaptive
        if blamed is not None and adaptive is not None:
            self._at(now + adaptive.delay, self._substitute, accounts.campaign[account], blamed)
        again = now + operator.replacement_delay(number)
        self._at(again, self._replace, accounts.campaign[account], accounts.slot[account], None)

    def _substitute(self, now: int, campaign: int, resource: Resource) -> None:
        """Change a resource on every living account of a campaign that shows it, if it can be changed."""
        accounts = self._accounts
        fresh: Resource | None = None
        for defences in self._defences:
            for account in tuple(defences.members.get(resource, ())):
                if accounts.ending[account] is not Ending.NONE or accounts.campaign[account] != campaign:
                    continue
                if resource not in accounts.equipment[account]:
                    continue
                fresh = fresh or self._operators[campaign].substitute(resource)
                if fresh is None:
                    return
                accounts.equipment[account] = tuple(
                    fresh if owned == resource else owned for owned in accounts.equipment[account]
                )
                defences.live[resource] -= 1
                self._show(defences.index, fresh, now)
                if defences.is_blocked(fresh, now):
                    defences.live[fresh] += 1
                    self._end(account, now, Ending.LINKED, fresh)
                else:
                    self._join(account, fresh, now)

    def _exit_key(self, account: int, now: int) -> tuple[int, int, int]:
        operator = self._operator_of[account]
        lease = now // self._turnover[operator.relay]
        return operator.relay, lease, operator.exit_slot(self._number_of[account], lease)

    def _address_of(self, account: int, now: int) -> Resource:
        return self._book.exit_address(*self._exit_key(account, now))

    # What labs do.

    def _await_detection(self, account: int, now: int) -> None:
        for number, column, signal in self._signals:
            if column == _VOLUME:
                if self._accounts.rate[account] < signal.threshold:
                    continue
            elif self._accounts.equipment[account][column] is None and column != _ADDRESS:
                continue
            self._await_signal(account, now, number, column, signal, 0)

    def _await_signal(
        self, account: int, now: int, number: int, column: int, signal: DetectionSignal, attempt: int
    ) -> None:
        lab = self._accounts.lab[account]
        rate = signal.rate * self._scenario.labs[lab].vigilance
        if rate <= 0:
            return
        operator = self._operator_of[account]
        wait = waiting_time(operator.detection_draw(self._number_of[account], number, attempt)) / rate
        # A signal that did not apply is looked at again in an hour at the earliest.
        at = now + max(HOUR if attempt else 1, int(wait * DAY))
        if at < operator.end:
            self._at(at, self._detect, account, number, column, signal, attempt)

    def _detect(
        self, now: int, account: int, number: int, column: int, signal: DetectionSignal, attempt: int
    ) -> None:
        """Notice an account by a signal, if the signal still applies to it."""
        if self._accounts.ending[account] is not Ending.NONE:
            return
        if column >= 0 and column != _ADDRESS:
            resource = self._accounts.equipment[account][column]
            live = self._defences[self._accounts.lab[account]].live
            if resource is None or live[resource] < signal.needs:
                self._await_signal(account, now, number, column, signal, attempt + 1)
                return
        address = self._address_of(account, now)
        self._at(now + signal.delay, self._convict, account, address)

    def _convict(self, now: int, account: int, address: Resource) -> None:
        """Be sure of an account: flag what it shows, and block it and what is linked to it."""
        accounts, lab = self._accounts, self._accounts.lab[account]
        shown = list(accounts.equipment[account])
        shown[_ADDRESS] = address
        self._used_by_attackers.add(address)
        if accounts.ending[account] is Ending.NONE:
            self._end(account, now, Ending.DETECTED, self._blamed(shown))
        self._flag_all(lab, shown, now)

    def _blamed(self, shown: Iterable[Resource | None]) -> Resource | None:
        """Return the resource that a block is due to, in the eyes of an operator who looks well."""
        for kind in self._policy.own:
            for resource in shown:
                if resource is not None and kind_of(resource) is kind:
                    return resource
        return None

    def _flag_all(self, lab: int, shown: Iterable[Resource | None], now: int) -> None:
        defences = self._defences[lab]
        for resource in shown:
            if resource is None:
                continue
            expires = defences.flag(resource, now)
            if expires is None:
                continue
            self._flags.append(Flag(lab, resource, now, expires, resource in self._used_by_attackers))
            match defences.own_action(resource):
                case OwnAction.BLOCK:
                    self._block(now, lab, resource, expires, Ending.LINKED)
                case OwnAction.REVIEW:
                    self._start_review(lab, resource, now, expires)
            self._decide(lab, resource, now)
            self._deliver_later(self._channel.flagged(lab, resource, now, expires))
        self._await_round()

    def _deliver_later(self, deliveries: Iterable[Delivery]) -> None:
        for at, match in deliveries:
            self._at(at, self._hear, match)

    def _await_round(self) -> None:
        """Have the next round come when it is due; what was awaited for later comes to nothing then."""
        if self._channel.due < self._next_round:
            self._next_round = self._channel.due
            self._at(self._next_round, self._round, place=_LAST)

    def _round(self, now: int) -> None:
        if now == self._next_round:
            self._next_round = NEVER
            self._deliver_later(self._channel.round(now))
            self._await_round()

    def _hear(self, now: int, match: Match) -> None:
        """Learn of a match, and act by policy."""
        querier, holder, resource, expires = match
        if expires <= now or not self._defences[querier].hear(resource, holder, expires):
            return
        self._matches.append(Told(now, match))
        self._decide(querier, resource, now)

    def _decide(self, lab: int, resource: Resource, now: int) -> None:
        defences = self._defences[lab]
        action, until = defences.decide(resource, now)
        if action is Action.REVIEW:
            self._start_review(lab, resource, now, until)
        elif action is not Action.IGNORE:
            self._at(now + self._policy.act, self._block, lab, resource, until, Ending.PEER)

    def _block(self, now: int, lab: int, resource: Resource, until: int, ending: Ending) -> None:
        """Block every account that shows a resource, now and until the flag lapses."""
        if until <= now:
            return
        defences = self._defences[lab]
        defences.block(resource, until)
        self._blocks.append(Block(now, lab, resource, ending))
        for account in self._live_members(lab, resource):
            self._end(account, now, ending, resource)
        self._bystanders.block(lab, resource, now, until, ending)

    def _live_members(self, lab: int, resource: Resource) -> list[int]:
        accounts = self._accounts
        users: Iterable[int] = self._defences[lab].members.get(resource, ())
        behind = self._book.exit_of(resource)
        if behind is not None:
            users = (account for account in self._by_exit.get(behind, ()) if accounts.lab[account] == lab)
        return [
            account
            for account in users
            if accounts.ending[account] is Ending.NONE
            and (behind is not None or resource in accounts.equipment[account])
        ]

    def _start_review(self, lab: int, resource: Resource, now: int, until: int) -> None:
        self._defences[lab].review(resource, until)
        done = now + self._policy.review.delay
        for account in self._live_members(lab, resource):
            self._at(done, self._review, account, resource)
        self._bystanders.review(lab, resource, now, until, done)

    def _review(self, now: int, account: int, resource: Resource) -> None:
        """End the review of an account: it is caught, or passes for good."""
        accounts = self._accounts
        if accounts.ending[account] is not Ending.NONE:
            return
        if self._operator_of[account].review_draw(self._number_of[account]) < self._policy.review.catches:
            shown = list(accounts.equipment[account])
            shown[_ADDRESS] = self._address_of(account, now)
            self._used_by_attackers.add(self._address_of(account, now))
            self._end(account, now, Ending.REVIEWED, resource)
            self._flag_all(accounts.lab[account], shown, now)

    def _convict_wrongly(self, now: int, lab: int, person: int) -> None:
        """Mistake a person for an attacker: flag what the person shows, as of any other account."""
        self._flag_all(lab, self._bystanders.convict(lab, person, now), now)
