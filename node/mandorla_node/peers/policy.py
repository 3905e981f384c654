"""What this lab agrees to in rounds with a peer over a collection: the defaults and the peer's own."""

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
    """The policy for one peer and one collection. Counts are evaluations, times are seconds."""

    kinds: frozenset[RoundKind]
    budget: int
    cap: int
    epoch_lifetime: int
    epoch_shortest: int
    report_sightings: bool
    take_sightings: bool

    def require(self, kind: RoundKind) -> None:
        """Raise RoundError(POLICY_REFUSED) if rounds of a kind are not allowed."""
        if kind not in self.kinds:
            raise RoundError(
                Code.POLICY_REFUSED, f"this lab's policy allows no {kind.name.lower()} rounds here"
            )


class Policies:
    """The policies of this lab, by peer and collection."""

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
        """Return the policy for a peer, given its name, over a collection."""
        peer = self._peers.get(name)
        if peer is None:
            return self._default
        policy = _override(self._default, peer)
        for key, settings in peer.collections.items():
            if key.value == collection:
                policy = _override(policy, settings)
        return policy

    def of_lab(self, lab: LabId, collection: str) -> PeerPolicy:
        """Return the policy for a lab, given its identity; the default policy if the lab is not pinned."""
        try:
            return self.of(self._store.peers.get(lab).name, collection)
        except InputError:
            return self._default

    def require_open(self, peer: Peer, collection: str) -> PeerPolicy:
        """Return the policy; raises RoundError: PAUSED, or POLICY_REFUSED if it allows no kind of round."""
        if peer.paused_at:
            raise RoundError(Code.PAUSED)
        policy = self.of(peer.name, collection)
        if not policy.kinds:
            raise RoundError(Code.POLICY_REFUSED, "this lab's policy allows no rounds here")
        return policy


def _override(policy: PeerPolicy, settings: PeerRoundSettings) -> PeerPolicy:
    """Return the policy with the settings that the operator has set, which are not None."""
    names = {field.name for field in fields(PeerPolicy)} - {"kinds"}
    changes = {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}
    if settings.kinds is not None:
        changes["kinds"] = _kinds(settings.kinds)
    return replace(policy, **changes)


def _kinds(names: tuple[str, ...]) -> frozenset[RoundKind]:
    return frozenset(_KINDS[name] for name in names)
