"""The defences of a lab: its own flags, its peers' claims, its blocks and its reviews."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .kinds import OwnAction, PeerAction
from .resources import Resource, kind_of
from .scenario.model import ResponsePolicy, Scenario


class Defences:
    """The flags and claims that one lab knows, and the actions by its policy."""

    def __init__(self, index: int, scenario: Scenario) -> None:
        self.index = index
        self.policy: ResponsePolicy = scenario.policy
        self._lifetimes = scenario.flags
        self._own: dict[Resource, int] = {}
        self._claims: defaultdict[Resource, dict[int, int]] = defaultdict(dict)
        self._blocked: dict[Resource, int] = {}
        self._reviewed: dict[Resource, int] = {}
        self.members: defaultdict[Resource, list[int]] = defaultdict(list)
        """The attackers' accounts that showed a resource at this lab, including those that have ended."""

        self.live: defaultdict[Resource, int] = defaultdict(int)
        """The number of living accounts of attackers that show a resource at this lab."""

    def flag(self, resource: Resource, now: int) -> int | None:
        """Flag a resource; return when the flag expires.

        Returns None if the resource is flagged already, or if labs never flag its kind.
        """
        lifetime = self._lifetimes.get(kind_of(resource))
        if lifetime is None or self._own.get(resource, 0) > now:
            return None
        self._own[resource] = now + lifetime
        return now + lifetime

    def hear(self, resource: Resource, holder: int, expires: int) -> bool:
        """Record a peer's claim; return whether it is new."""
        claims = self._claims[resource]
        if claims.get(holder) == expires:
            return False
        claims[holder] = expires
        return True

    def decide(self, resource: Resource, now: int) -> tuple[PeerAction, int]:
        """Return the action that the peers' claims on a resource lead to, and when it ends."""
        kind = kind_of(resource)
        action = self.policy.peers.get(kind, PeerAction.IGNORE)
        own = self._own.get(resource, 0)
        claims = sorted(
            (until for until in self._claims.get(resource, {}).values() if until > now), reverse=True
        )
        if not claims:
            return PeerAction.IGNORE, 0
        match action:
            case PeerAction.ONE_PEER | PeerAction.REVIEW:
                return action, claims[0]
            case PeerAction.TWO_LABS:
                expiries = sorted([*claims, *([own] if own > now else [])], reverse=True)
                if len(expiries) >= 2:
                    return action, expiries[1]
        return PeerAction.IGNORE, 0

    def own_action(self, resource: Resource) -> OwnAction | None:
        """Return the action that this lab's own flag on a resource leads to, if any."""
        return self.policy.own.get(kind_of(resource))

    def block(self, resource: Resource, until: int) -> None:
        """Block the accounts that show a resource, until the flag expires."""
        self._blocked[resource] = max(until, self._blocked.get(resource, 0))

    def review(self, resource: Resource, until: int) -> None:
        """Review the accounts that show a resource, until the flag expires."""
        self._reviewed[resource] = max(until, self._reviewed.get(resource, 0))

    def is_blocked(self, resource: Resource, now: int) -> bool:
        """Return whether a resource is blocked."""
        return self._blocked.get(resource, 0) > now

    def blocking(self, resources: Iterable[Resource], now: int) -> Resource | None:
        """Return the first blocked resource of an account, if any."""
        blocked = self._blocked
        for resource in resources:
            if blocked.get(resource, 0) > now:
                return resource
        return None

    def is_reviewed(self, resource: Resource, now: int) -> bool:
        """Return whether accounts that show a resource are reviewed."""
        return self._reviewed.get(resource, 0) > now
