"""The header of a round: composed by the initiator, checked by the responder (SPEC 9.3, 9.4)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mandorla_protocol.card import Card
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import ROUND_ID_SIZE, Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.indicators import Collection, profiles

from ..config.peer_settings import RoundSettings
from ..store import Peer


@dataclass(frozen=True, slots=True)
class Terms:
    """The kind, the collection and the mode of a round that this lab is to propose."""

    kind: RoundKind
    collection: str
    mode: RoundMode = RoundMode.BATCH


def compose(
    own: Card,
    peer: Card,
    terms: Terms,
    own_offer: Offer,
    peer_offer: Offer,
    settings: RoundSettings,
    lifetime: int,
    now: int,
) -> RoundHeader:
    """Compose the header that this lab proposes, valid for `lifetime` seconds."""
    return RoundHeader(
        round_id=RoundId(os.urandom(ROUND_ID_SIZE)),
        mode=terms.mode,
        kind=terms.kind,
        collection=terms.collection,
        profiles=profiles(require_collection(terms.collection)),
        initiator=Party(own.identity, own.certificate_hash, own_offer),
        responder=Party(peer.identity, peer.certificate_hash, peer_offer),
        purpose=settings.purpose,
        legal_basis=settings.legal_basis,
        created=now,
        expires=now + lifetime,
    )


def require_acceptable(
    header: RoundHeader, own: Card, proposer: Peer, own_offer: Offer | None, settings: RoundSettings, now: int
) -> None:
    """Check a proposed header against the proposer, this lab's offer, and this lab's settings.

    Raises RoundError: BAD_HEADER, HEADER_EXPIRED, PROFILE_MISMATCH or POLICY_REFUSED.
    """
    header.require_valid(now)
    for party, card in ((header.initiator, proposer.card), (header.responder, own)):
        if (party.lab, party.certificate_hash) != (card.identity, card.certificate_hash):
            raise RoundError(Code.BAD_HEADER, "a party is not the lab that is connected")
    if header.profiles != profiles(require_collection(header.collection)):
        raise RoundError(Code.PROFILE_MISMATCH)
    if header.responder.offer != own_offer:
        raise RoundError(Code.BAD_HEADER, "the offer is not the one that this lab made")
    if header.expires - header.created > settings.lifetime:
        raise RoundError(Code.POLICY_REFUSED, "the round would stay open for longer than this lab allows")
    # Nobody reads a header before the node signs it: the operator lists beforehand what it may sign.
    if header.purpose not in (settings.purpose, *settings.accepted_purposes):
        raise RoundError(Code.POLICY_REFUSED, "this lab does not accept the purpose")
    if header.legal_basis not in (settings.legal_basis, *settings.accepted_legal_bases):
        raise RoundError(Code.POLICY_REFUSED, "this lab does not accept the legal basis")


def require_collection(name: str) -> Collection:
    """Return the collection with a name; raises RoundError(POLICY_REFUSED) if there is none."""
    try:
        return Collection(name)
    except ValueError:
        raise RoundError(Code.POLICY_REFUSED, "no such collection") from None
