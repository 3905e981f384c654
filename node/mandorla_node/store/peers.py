"""Pinned peers, their cards, and their receipts for this lab's card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from mandorla_protocol.card import Card
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, InputError, TransportError

from ..core.clock import Clock
from ..crypto import certificates
from .database import Database
from .schema import CARD_RECEIPTS, CAUGHT, FORMER_CARDS, PEERS

_PEERS = (
    select(
        PEERS,
        CAUGHT.c.peer.label("caught"),
        FORMER_CARDS.c.card.label("former"),
        FORMER_CARDS.c.until,
        CARD_RECEIPTS.c.certificate_hash.label("receipt"),
    )
    .outerjoin(CAUGHT, CAUGHT.c.peer == PEERS.c.lab)
    .outerjoin(FORMER_CARDS, FORMER_CARDS.c.peer == PEERS.c.lab)
    .outerjoin(CARD_RECEIPTS, CARD_RECEIPTS.c.peer == PEERS.c.lab)
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A lab whose card the operator pinned. `last_contact` is Unix seconds, 0 for never.

    `former` is the previous card, while this lab accepts both. `receipt` is the hash of the certificate of
    this lab's that the peer last acknowledged, empty before the first. `caught` marks a peer that forked its
    log; pinning it again does not clear the mark. `paused_at` is 0 unless the operator paused the peer.
    """

    card: Card
    added_at: int
    last_contact: int
    caught: bool = False
    former: Card | None = None
    receipt: bytes = b""
    paused_at: int = 0

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.card.name

    @property
    def lab(self) -> LabId:
        """The lab's identity."""
        return self.card.identity

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards that this lab accepts now, the newest first."""
        return (self.card, self.former) if self.former else (self.card,)

    def by(self, certificate_hash: bytes) -> Peer | None:
        """Return this peer, with the accepted card that has the certificate as its card.

        Return None if no accepted card has the certificate.
        """
        for card in self.cards:
            if card.certificate_hash == certificate_hash:
                return replace(self, card=card)
        return None


class Peers:
    """The pinned peers, by name and by identity."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, card: Card, overlap: int = 0) -> None:
        """Pin a card that the operator vouches for. A name belongs to one identity.

        If an older card of the identity is pinned, this lab accepts that card too, for `overlap` seconds or
        until its certificate expires.

        Raises InputError(BAD_CARD) if another lab has the name, a newer card of this lab is pinned, or the
        certificate is not the card's own: it must carry the identity's name and the card's time of issue, so
        that two cards cannot share a certificate.
        """
        certificates.require_certificate_of(card)
        with self._database.write() as connection:
            owner = connection.scalar(select(PEERS.c.lab).where(PEERS.c.name == card.name))
            if owner is not None and owner != card.identity:
                raise InputError(Code.BAD_CARD, f"another pinned lab is called {card.name}; remove it first")
            pinned = _pinned(connection, card.identity)
            if pinned is None:
                values = {"lab": card.identity, "name": card.name, "card": card.to_json()}
                now = self._clock()
                connection.execute(insert(PEERS).values(added_at=now, last_contact=0, paused_at=0, **values))
                return
            if pinned.issued and card.issued <= pinned.issued and card != pinned:
                raise InputError(
                    Code.BAD_CARD,
                    f"a newer card of {pinned.name} is pinned; to pin an older one, remove the peer first",
                )
            self._follow(connection, pinned, card, overlap)

    def renew(self, card: Card, overlap: int, allow: Callable[[], None]) -> bool:
        """Pin the next card of a peer, which the peer itself sent; return whether it was new.

        This lab accepts the previous card too, for `overlap` seconds or until its certificate expires.
        `allow` is called before the store changes, and may raise.

        Raises TransportError: NOT_PINNED if the peer is not pinned, CARD_REFUSED if the card is not newer,
        has another name or log origin, or a certificate that is not its own or not valid now.
        """
        # Most calls repeat a card that is pinned: a read does not wait for other writers.
        with self._database.read() as connection:
            if not self._follows(card, _pinned(connection, card.identity)):
                return False
        with self._database.write() as connection:
            pinned = _pinned(connection, card.identity)
            if not self._follows(card, pinned) or pinned is None:
                return False
            allow()
            self._follow(connection, pinned, card, overlap)
        return True

    def _follows(self, card: Card, pinned: Card | None) -> bool:
        """Return False for the pinned card itself, True for one that may follow it; raises TransportError."""
        if pinned is None:
            raise TransportError(Code.NOT_PINNED)
        if card == pinned:
            return False
        if card.issued <= pinned.issued:
            raise TransportError(Code.CARD_REFUSED, "the card is not newer than the pinned one")
        if (card.name, card.log_origin) != (pinned.name, pinned.log_origin):
            raise TransportError(Code.CARD_REFUSED, "a card that follows has the same name and log origin")
        try:
            certificates.require_certificate_of(card)
            certificates.require_valid(card, self._clock())
        except InputError as error:
            raise TransportError(Code.CARD_REFUSED, error.detail) from None
        return True

    def _follow(self, connection: Connection, pinned: Card, card: Card, overlap: int) -> None:
        """Replace the pinned card; accept the old one too for the overlap, if the new one is newer."""
        is_peer = PEERS.c.lab == card.identity
        connection.execute(update(PEERS).where(is_peer).values(name=card.name, card=card.to_json()))
        if card == pinned:
            return
        connection.execute(delete(FORMER_CARDS).where(FORMER_CARDS.c.peer == card.identity))
        until = min(self._clock() + overlap, certificates.expires_at(pinned))
        if card.issued > pinned.issued and until > self._clock():
            former = {"peer": card.identity, "card": pinned.to_json(), "until": until}
            connection.execute(insert(FORMER_CARDS).values(**former))

    def record_receipt(self, lab: LabId, certificate_hash: bytes) -> None:
        """Record that a peer acknowledged this lab's card with this certificate."""
        with self._database.write() as connection:
            connection.execute(delete(CARD_RECEIPTS).where(CARD_RECEIPTS.c.peer == lab))
            receipt = {"peer": lab, "certificate_hash": certificate_hash, "at": self._clock()}
            connection.execute(insert(CARD_RECEIPTS).values(**receipt))

    def pause(self, name: str, paused: bool) -> Peer:
        """Pause a peer, so that no round with it begins, or resume it; raises InputError(UNKNOWN_PEER)."""
        at = self._clock() if paused else 0
        with self._database.write() as connection:
            changed = connection.execute(update(PEERS).where(PEERS.c.name == name).values(paused_at=at))
            if not changed.rowcount:
                raise InputError(Code.UNKNOWN_PEER)
        return self.get(name)

    def remove(self, name: str) -> None:
        """Unpin a peer and all its cards; raises InputError(UNKNOWN_PEER)."""
        with self._database.write() as connection:
            lab = connection.scalar(select(PEERS.c.lab).where(PEERS.c.name == name))
            if lab is None:
                raise InputError(Code.UNKNOWN_PEER)
            connection.execute(delete(PEERS).where(PEERS.c.lab == lab))
            connection.execute(delete(FORMER_CARDS).where(FORMER_CARDS.c.peer == lab))
            connection.execute(delete(CARD_RECEIPTS).where(CARD_RECEIPTS.c.peer == lab))

    def all(self) -> list[Peer]:
        """Return the pinned peers, by name."""
        with self._database.read() as connection:
            rows = connection.execute(_PEERS.order_by(PEERS.c.name)).all()
        return [self._peer(row) for row in rows]

    def get(self, key: str | LabId) -> Peer:
        """Return the peer with a name or an identity; raises InputError(UNKNOWN_PEER)."""
        with self._database.read() as connection:
            is_peer = PEERS.c.name == key if isinstance(key, str) else PEERS.c.lab == key
            row = connection.execute(_PEERS.where(is_peer)).one_or_none()
        if row is None:
            raise InputError(Code.UNKNOWN_PEER)
        return self._peer(row)

    def record_contact(self, lab: LabId) -> None:
        """Record that this lab and a peer have just been in contact."""
        with self._database.write() as connection:
            connection.execute(update(PEERS).where(PEERS.c.lab == lab).values(last_contact=self._clock()))

    def _peer(self, row: Row[Any]) -> Peer:
        accepts_former = row.former is not None and self._clock() < row.until
        return Peer(
            _card(row.card),
            row.added_at,
            row.last_contact,
            row.caught is not None,
            _card(row.former) if accepts_former else None,
            row.receipt or b"",
            row.paused_at,
        )


def _pinned(connection: Connection, lab: LabId) -> Card | None:
    text = connection.scalar(select(PEERS.c.card).where(PEERS.c.lab == lab))
    return None if text is None else _card(text)


# Cached: decoding a card verifies its signature, and each incoming call compares its caller with all cards.
_card = lru_cache(maxsize=1024)(Card.from_json)
