"""The responses of labs in a run: they detect, flag, share, review and block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .account_lives import AccountLives
from .bystanders import Bystanders
from .draws import waiting_time
from .event_queue import Event
from .kinds import COLUMN, Ending, OwnAction, PeerAction, ResourceKind
from .resources import NEVER, Resource, kind_of
from .run_record import Block, Flag
from .run_state import ADDRESS, RunState
from .scenario.model import DetectionSignal
from .scenario.units import DAY, HOUR
from .sharing.channel import Delivery, Match

_VOLUME: Final = -1


class LabResponses:
    """The responses of all labs to accounts, flags and matches."""

    def __init__(self, state: RunState, lives: AccountLives, seed: int) -> None:
        self._state = state
        self._lives = lives
        self._queue = state.queue
        self._channel = state.channel
        self._policy = state.scenario.policy
        self._signals = [
            (number, _VOLUME if signal.on == "volume" else COLUMN[ResourceKind(signal.on)], signal)
            for number, signal in enumerate(state.scenario.signals)
        ]
        self._next_round = NEVER
        self.bystanders = Bystanders(state.scenario, state.population, state.book, seed)
        self.flags: list[Flag] = []
        self.matches: list[Delivery] = []
        self.blocks: list[Block] = []

    def begin(self) -> None:
        """Schedule the mistakes of detection, and the first round."""
        for at, lab, person in self.bystanders.mistakes():
            self._queue.schedule(at, Event.CONVICT_WRONGLY, lab, person)
        self._await_round()

    def await_detection(self, account: int, now: int) -> None:
        """Schedule the detection of an account by each signal that may apply to it."""
        accounts = self._state.accounts
        for number, column, signal in self._signals:
            if column == _VOLUME:
                if accounts.rate[account] < signal.threshold:
                    continue
            elif accounts.equipment[account][column] is None and column != ADDRESS:
                continue
            self._await_signal(account, now, number, column, signal, 0)

    def _await_signal(
        self, account: int, now: int, number: int, column: int, signal: DetectionSignal, attempt: int
    ) -> None:
        state = self._state
        rate = signal.rate * state.scenario.labs[state.accounts.lab[account]].vigilance
        if rate <= 0:
            return
        attacker = state.attacker_of[account]
        wait = waiting_time(attacker.detection_draw(state.number_of[account], number, attempt)) / rate
        # A signal that did not apply is tried again after an hour at the earliest.
        at = now + max(HOUR if attempt else 1, int(wait * DAY))
        if at < attacker.end:
            self._queue.schedule(at, Event.DETECT, account, number, column, signal, attempt)

    def detect(
        self, now: int, account: int, number: int, column: int, signal: DetectionSignal, attempt: int
    ) -> None:
        """Detect an account by a signal, if the signal still applies to it."""
        state = self._state
        if state.is_over(account):
            return
        if column >= 0 and column != ADDRESS:
            resource = state.accounts.equipment[account][column]
            live = state.defences[state.accounts.lab[account]].live
            if resource is None or live[resource] < signal.needs:
                self._await_signal(account, now, number, column, signal, attempt + 1)
                return
        address = state.address_of(account, now)
        self._queue.schedule(now + signal.delay, Event.CONVICT, account, address)

    def convict(self, now: int, account: int, address: Resource) -> None:
        """Flag what a detected account shows, and block the account and what is linked to it."""
        state, accounts = self._state, self._state.accounts
        shown = list(accounts.equipment[account])
        shown[ADDRESS] = address
        state.used_by_attackers.add(address)
        if not state.is_over(account):
            self._lives.end(account, now, Ending.DETECTED, self._apparent_cause(shown))
        self._flag_all(accounts.lab[account], shown, now)

    def convict_wrongly(self, now: int, lab: int, person: int) -> None:
        """Take an honest user for an attacker, and flag what the user shows."""
        self._flag_all(lab, self.bystanders.convict(lab, person, now), now)

    def _apparent_cause(self, shown: Iterable[Resource | None]) -> Resource | None:
        """Return the resource to which an attacker with insight attributes the block of an account."""
        for kind in self._policy.own:
            for resource in shown:
                if resource is not None and kind_of(resource) is kind:
                    return resource
        return None

    def _flag_all(self, lab: int, shown: Iterable[Resource | None], now: int) -> None:
        state = self._state
        defences = state.defences[lab]
        for resource in shown:
            if resource is None:
                continue
            expires = defences.flag(resource, now)
            if expires is None:
                continue
            self.flags.append(Flag(lab, resource, now, expires, resource in state.used_by_attackers))
            match defences.own_action(resource):
                case OwnAction.BLOCK:
                    self.block(now, lab, resource, expires, Ending.LINKED)
                case OwnAction.REVIEW:
                    self._start_review(lab, resource, now, expires)
            self._decide(lab, resource, now)
            state.deliver(self._channel.flagged(lab, resource, now, expires))
        self._await_round()

    def _await_round(self) -> None:
        """Schedule the next round when it is due; a round that was scheduled for later is then skipped."""
        if self._channel.due < self._next_round:
            self._next_round = self._channel.due
            self._queue.schedule(self._next_round, Event.ROUND)

    def round(self, now: int) -> None:
        """Run the rounds that are due."""
        if now == self._next_round:
            self._next_round = NEVER
            self._state.deliver(self._channel.round(now))
            self._await_round()

    def hear(self, now: int, match: Match) -> None:
        """Have a lab learn of a match, and act by its policy."""
        querier, holder, resource, expires = match
        if expires <= now or not self._state.defences[querier].hear(resource, holder, expires):
            return
        self.matches.append(Delivery(now, match))
        self._decide(querier, resource, now)

    def _decide(self, lab: int, resource: Resource, now: int) -> None:
        action, until = self._state.defences[lab].decide(resource, now)
        if action is PeerAction.REVIEW:
            self._start_review(lab, resource, now, until)
        elif action is not PeerAction.IGNORE:
            self._queue.schedule(now + self._policy.act, Event.BLOCK, lab, resource, until, Ending.PEER)

    def block(self, now: int, lab: int, resource: Resource, until: int, ending: Ending) -> None:
        """Block every account that shows a resource, now and until the flag expires."""
        if until <= now:
            return
        self._state.defences[lab].block(resource, until)
        self.blocks.append(Block(now, lab, resource, ending))
        for account in self._live_members(lab, resource):
            self._lives.end(account, now, ending, resource)
        self.bystanders.block(lab, resource, now, until, ending)

    def _live_members(self, lab: int, resource: Resource) -> list[int]:
        """Return the living accounts that show a resource at a lab."""
        state, accounts = self._state, self._state.accounts
        users: Iterable[int] = state.defences[lab].members.get(resource, ())
        relay_exit = state.book.exit_of(resource)
        if relay_exit is not None:
            users = (account for account in state.by_exit.get(relay_exit, ()) if accounts.lab[account] == lab)
        return [
            account
            for account in users
            if accounts.ending[account] is Ending.NONE
            and (relay_exit is not None or resource in accounts.equipment[account])
        ]

    def _start_review(self, lab: int, resource: Resource, now: int, until: int) -> None:
        self._state.defences[lab].review(resource, until)
        done = now + self._policy.review.delay
        for account in self._live_members(lab, resource):
            self._queue.schedule(done, Event.REVIEW, account, resource)
        self.bystanders.review(lab, resource, now, until, done)

    def review(self, now: int, account: int, resource: Resource) -> None:
        """End the review of an account: the lab blocks it, or lets it be."""
        state = self._state
        if state.is_over(account):
            return
        draw = state.attacker_of[account].review_draw(state.number_of[account])
        if draw < self._policy.review.catches:
            shown = state.shown_by(account, now)
            state.used_by_attackers.add(state.address_of(account, now))
            self._lives.end(account, now, Ending.REVIEWED, resource)
            self._flag_all(state.accounts.lab[account], shown, now)
