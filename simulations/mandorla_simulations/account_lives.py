"""The lives of accounts in a run: attackers open, move, lose and replace them."""

from __future__ import annotations

from .event_queue import Event
from .kinds import Ending
from .resources import Resource
from .run_state import RunState


class AccountLives:
    """The accounts of all attackers, from opening to end."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._queue = state.queue
        self._accounts = state.accounts
        self._policy = state.scenario.policy

    def begin(self) -> None:
        """Schedule the first account of each slot, the ends of campaigns, and all releases."""
        for index, attacker in enumerate(self._state.attackers):
            for slot in range(attacker.campaign.pool):
                self._queue.schedule(attacker.slot_start(slot), Event.REPLACE, index, slot, None)
            self._queue.schedule(attacker.end, Event.FINISH, index)
        for index, lab in enumerate(self._state.scenario.labs):
            for release in lab.releases:
                self._queue.schedule(release, Event.RELEASE, index)
        for relay in range(len(self._state.turnover)):
            self._queue.schedule(0, Event.LEASE, relay, 0)

    def finish(self) -> None:
        """End the accounts that still live when the run ends."""
        for account in self._state.living:
            self._accounts.ended[account] = self._state.attacker_of[account].end

    def finish_campaign(self, now: int, campaign: int) -> None:
        """Give up the accounts of a campaign that ends."""
        for account in [one for one in self._state.living if self._accounts.campaign[one] == campaign]:
            self.end(account, now, Ending.FINISHED, None)

    def replace(self, now: int, campaign: int, slot: int, lab: int | None) -> None:
        """Open an account for a slot as soon as the attacker can procure one."""
        at = self._state.attackers[campaign].reserve(now)
        if at is not None:
            self._queue.schedule(at, Event.OPEN, campaign, slot, lab)

    def open(self, now: int, campaign: int, slot: int, lab: int | None) -> int | None:
        """Open an account, at the lab that the attacker chooses unless one is given.

        Returns the account; None if the attacker cannot pay for it or the lab refuses it.
        """
        state, accounts = self._state, self._accounts
        attacker = state.attackers[campaign]
        if not attacker.can_pay:
            return None
        number = attacker.opened
        chosen = attacker.choose_lab(number, now) if lab is None else lab
        equipment = attacker.equip(chosen)
        account = len(accounts)
        accounts.campaign.append(campaign)
        accounts.lab.append(chosen)
        accounts.slot.append(slot)
        accounts.opened.append(now)
        accounts.ended.append(now)
        accounts.ending.append(Ending.NONE)
        accounts.rate.append(attacker.rate(number))
        accounts.phase.append(attacker.phase(number))
        accounts.equipment.append(equipment)
        state.attacker_of.append(attacker)
        state.number_of.append(number)
        shown = [resource for resource in equipment if resource is not None]
        for resource in shown:
            self._show(chosen, resource, now)
        self._show_exits(chosen, attacker.relay, now)
        checked = [*shown, state.address_of(account, now)] if state.addresses_matter else shown
        cause = state.defences[chosen].blocking(checked, now)
        if cause is not None:
            self.end(account, now, Ending.REFUSED, cause)
            return None
        state.living[account] = None
        state.present[attacker.relay, chosen] += 1
        for resource in shown:
            self._join(account, resource, now)
        if state.addresses_matter:
            state.by_exit.setdefault(state.exit_key(account, now), []).append(account)
        return account

    def end(self, account: int, now: int, ending: Ending, cause: Resource | None) -> None:
        """End an account, and schedule the time at which its attacker notices a loss."""
        accounts, state = self._accounts, self._state
        attacker = state.attacker_of[account]
        lab = accounts.lab[account]
        if ending is not Ending.REFUSED:
            del state.living[account]
            state.present[attacker.relay, lab] -= 1
            live = state.defences[lab].live
            for resource in accounts.equipment[account]:
                if resource is not None:
                    live[resource] -= 1
        accounts.ending[account] = ending
        accounts.ended[account] = min(now, attacker.end)
        if ending in {Ending.MOVED, Ending.FINISHED}:
            return
        silent = self._policy.silent and ending is not Ending.REFUSED
        self._queue.schedule(now + (self._policy.notice if silent else 0), Event.NOTICE, account, cause)

    def notice(self, now: int, account: int, cause: Resource | None) -> None:
        """Have an attacker notice the loss of an account, learn from it, and replace the account."""
        accounts, attacker = self._accounts, self._state.attacker_of[account]
        number = self._state.number_of[account]
        attacker.notice_block(accounts.lab[account], now)
        blamed = attacker.learn(number, accounts.lab[account], cause)
        adaptive = attacker.campaign.adaptive
        if blamed is not None and adaptive is not None:
            self._queue.schedule(now + adaptive.delay, Event.SUBSTITUTE, accounts.campaign[account], blamed)
        again = now + attacker.replacement_delay(number)
        self._queue.schedule(again, Event.REPLACE, accounts.campaign[account], accounts.slot[account], None)

    def substitute(self, now: int, campaign: int, resource: Resource) -> None:
        """Change a resource on every living account of a campaign that shows it, if that is possible."""
        accounts, state = self._accounts, self._state
        fresh: Resource | None = None
        for defences in state.defences:
            for account in tuple(defences.members.get(resource, ())):
                if state.is_over(account) or accounts.campaign[account] != campaign:
                    continue
                if resource not in accounts.equipment[account]:
                    continue
                fresh = fresh or state.attackers[campaign].substitute(resource)
                if fresh is None:
                    return
                accounts.equipment[account] = tuple(
                    fresh if owned == resource else owned for owned in accounts.equipment[account]
                )
                defences.live[resource] -= 1
                self._show(defences.index, fresh, now)
                if defences.is_blocked(fresh, now):
                    defences.live[fresh] += 1
                    self.end(account, now, Ending.LINKED, fresh)
                else:
                    self._join(account, fresh, now)

    def release(self, now: int, lab: int) -> None:
        """Release a model at a lab, to which some campaigns then move accounts."""
        attackers = self._state.attackers
        going = {index for index, attacker in enumerate(attackers) if attacker.hear_of_release(lab)}
        accounts = self._accounts
        for account in self._state.living:
            if accounts.campaign[account] in going and accounts.lab[account] != lab:
                delay = self._state.attacker_of[account].moves(self._state.number_of[account])
                if delay is not None:
                    self._queue.schedule(now + delay, Event.MOVE, account, lab)

    def move(self, now: int, account: int, lab: int) -> None:
        """Give up an account for a new one at another lab."""
        if self._state.is_over(account):
            return
        campaign, slot = self._accounts.campaign[account], self._accounts.slot[account]
        at = self._state.attackers[campaign].reserve(now)
        if at is not None:
            self.end(account, now, Ending.MOVED, None)
            self._queue.schedule(at, Event.OPEN, campaign, slot, lab)

    def lease(self, now: int, relay: int, lease: int) -> None:
        """Give new addresses to the exits of a relay."""
        state = self._state
        self._queue.schedule(now + state.turnover[relay], Event.LEASE, relay, lease + 1)
        labs = {lab for lab in range(len(state.defences)) if state.population.customers(relay, lab)}
        labs |= {lab for lab in range(len(state.defences)) if state.present[relay, lab]}
        for lab in sorted(labs):
            self._show_exits(lab, relay, now)
        if state.addresses_matter:
            state.by_exit = {key: users for key, users in state.by_exit.items() if key[0] != relay}
            for account in state.living:
                if state.attacker_of[account].relay == relay:
                    state.by_exit.setdefault(state.exit_key(account, now), []).append(account)

    def _join(self, account: int, resource: Resource, now: int) -> None:
        """Count an account among those that show a resource at its lab."""
        defences = self._state.defences[self._accounts.lab[account]]
        defences.members[resource].append(account)
        defences.live[resource] += 1
        if defences.is_reviewed(resource, now):
            self._queue.schedule(now + self._policy.review.delay, Event.REVIEW, account, resource)

    def _show(self, lab: int, resource: Resource, now: int) -> None:
        state = self._state
        state.used_by_attackers.add(resource)
        if state.sightings.record(lab, resource, now):
            state.deliver(state.channel.observed(lab, resource, now))

    def _show_exits(self, lab: int, relay: int, now: int) -> None:
        """Have a lab see all present exits of a relay, since the relay's accounts are spread over them."""
        state = self._state
        lease = now // state.turnover[relay]
        if state.sightings.record_lease(lab, relay, lease, now):
            state.deliver(state.channel.observed_exits(lab, relay, lease, now))
