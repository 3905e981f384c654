"""What this lab agrees to with a peer over a collection: the file's defaults, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, InputError, RoundError
from mandorla_protocol.header import RoundKind

from ..config.peer_settings import PeerRoundSettings, PeerSettings, RoundSettings
from ..store import Peer, Store

_KINDS: Final = {"shared": RoundKind.SHARED, "watch": RoundKind.WATCH}


@dataclass(frozen=True, slots=True)
class PeerPolicy:
    """What holds for a peer and a collection. Counts are evaluations; times are seconds."""

    kinds: frozenset[RoundKind]
    budget: int
    cap: int
    epoch_lifetime: int
    epoch_shortest: int
    report_sightings: bool
    take_sightings: bool

    def require(self, kind: RoundKind) -> None:
        """Raise RoundError(POLICY_REFUSED) for a kind of round that is not allowed."""
        if kind not in self.kinds:
            raise RoundError(
                Code.POLICY_REFUSED, f"this lab's policy allows no {kind.name.lower()} rounds here"
            )


class Policies:
    """The policy of this lab, by peer and collection."""

    def __init__(self, rounds: RoundSettings, peers: Mapping[str, PeerSettings], store: Store) -> None:
        self._store = store
        self._peers = peers
        self._default = PeerPolicy(
            kinds=_kinds(rounds.kinds),
            budget=rounds.budget,
            cap=rounds.cap,
            epoch_lifetime=rounds.epoch_lifetime,
            epoch_shortest=rounds.epoch_shortest,
            report_sightings=rounds.report_sightings,
            take_sightings=rounds.take_sightings,
        )

    def of(self, name: str, collection: str) -> PeerPolicy:
        """Return what holds for a peer, by its name, over a collection."""
        peer = self._peers.get(name)
        if peer is None:
            return self._default
        policy = _changed(self._default, peer)
        for known, rules in peer.collections.items():
            if known.value == collection:
                policy = _changed(policy, rules)
        return policy

    def of_lab(self, lab: LabId, collection: str) -> PeerPolicy:
        """Return what holds for a peer, by its identity; the defaults for one that is not pinned."""
        try:
            return self.of(self._store.peers.get(lab).name, collection)
        except InputError:
            return self._default

    def require_open(self, peer: Peer, collection: str) -> PeerPolicy:
        """Return the policy; raises RoundError: PAUSED, or POLICY_REFUSED if it allows no round at all."""
        if peer.paused_at:
            raise RoundError(Code.PAUSED)
        policy = self.of(peer.name, collection)
        if not policy.kinds:
            raise RoundError(Code.POLICY_REFUSED, "this lab's policy allows no rounds here")
        return policy


def _changed(policy: PeerPolicy, rules: PeerRoundSettings) -> PeerPolicy:
    named = {one.name for one in fields(PeerPolicy)} - {"kinds"}
    changes = {name: getattr(rules, name) for name in named if getattr(rules, name) is not None}
    if rules.kinds is not None:
        changes["kinds"] = _kinds(rules.kinds)
    return replace(policy, **changes)


def _kinds(names: tuple[str, ...]) -> frozenset[RoundKind]:
    return frozenset(_KINDS[name] for name in names)
