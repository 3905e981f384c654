"""New certificates without downtime: this lab's next card, and those of its peers (SPEC 9.10).

A card that follows another has a certificate with a name of its own. For a while, the overlap, this lab
answers under both names and its peers take both certificates; so each peer goes over by itself, at the moment
at which it says that it pinned the new card.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from mandorla.v1 import exchange_pb2
from mandorla_protocol.card import MAX_CARD_BYTES, Card, issue_card, require_endpoint
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, InputError, MandorlaError, TransportError
from mandorla_protocol.signatures import lab_id

from ..core import files
from ..core.clock import Clock
from ..crypto import certificates
from ..home import own_cards
from ..home.folder import Home
from ..home.key_kinds import SourceKind
from ..home.own_cards import OwnCard
from ..store import Peer, Store
from .client import ClientFactory
from .rate_limits import Buckets

_LOG = structlog.get_logger()

ROUND_EVERY: Final = 60.0
"""Seconds between attempts to reach peers that have not said that they pinned the newest card."""

PATIENCE: Final = 10.0
"""Seconds for a peer to take a card."""

_CARDS_BURST: Final = 4
_CARDS_RATE: Final = 1 / 3600


class OwnCards:
    """The cards by which this lab is known now: the newest, and those before it while their overlap lasts."""

    def __init__(self, cards: tuple[OwnCard, ...], overlap: int, clock: Clock) -> None:
        self._cards = list(cards)
        self._overlap = overlap
        self._clock = clock
        # What each peer said that it pinned, by the hash of its certificate.
        self.receipts: dict[LabId, bytes] = {}

    @property
    def newest(self) -> OwnCard:
        """The card that follows all others."""
        return self._cards[0]

    def live(self) -> list[OwnCard]:
        """Return the cards whose certificates this lab shows, the newest first."""
        now = self._clock()
        kept = [self._cards[0]]
        for following, own in zip(self._cards, self._cards[1:], strict=False):
            if now < min(following.card.issued + self._overlap, certificates.expires_at(own.card)):
                kept.append(own)
        return kept

    def known_to(self, lab: LabId) -> OwnCard:
        """Return the newest card that a peer is known to have pinned; the oldest, if it has said nothing."""
        live = self.live()
        receipt = self.receipts.get(lab)
        return next((own for own in live if own.card.certificate_hash == receipt), live[-1])

    def named(self, certificate_hash: bytes) -> OwnCard:
        """Return the card of a certificate, if it is one by which this lab is known now; or the newest."""
        return next(
            (own for own in self.live() if own.card.certificate_hash == certificate_hash), self.newest
        )

    def add(self, own: OwnCard) -> None:
        """Be known by another card from now on."""
        self._cards.insert(0, own)

    def drop(self) -> list[OwnCard]:
        """Forget and return the cards whose overlap is over."""
        live = self.live()
        over = [own for own in self._cards if own not in live]
        self._cards = live
        return over


def issue(home: Home, newest: Card, endpoint: str, now: int) -> OwnCard:
    """Make the card that follows another, with a new key and certificate, and put it into the home.

    Raises InputError(BAD_CARD) for an endpoint that is none, NodeError(BAD_HOME) if it cannot be written.
    """
    require_endpoint(endpoint)
    issued = max(now, newest.issued + 1)
    key, certificate = certificates.issue_certificate(
        lab_id(home.identity), datetime.fromtimestamp(now, UTC), issued
    )
    der = certificates.der_from_pem(certificate)
    card = issue_card(home.identity, newest.name, der, endpoint, newest.log_origin, issued)
    own = OwnCard(card, key, certificate)
    sealing = home.key_source.kind is not SourceKind.HOME
    own_cards.add(home.path, own, home.vault if sealing else None)
    return own


def renew_stopped(home: Home, endpoint: str, now: int) -> Card:
    """Issue the next card of a lab whose node does not run: it tells the peers when it does.

    Raises as `issue` does.
    """
    with files.locked_home(home.path):
        return issue(home, home.card, endpoint or home.card.endpoint, now).card


@dataclass(frozen=True, slots=True)
class Told:
    """What a peer said to this lab's newest card; `code` is why it did not take it."""

    peer: str
    code: Code | None = None


class CardRenewal:
    """Renew this lab's card, tell the peers, and take theirs."""

    def __init__(self, home: Home, store: Store, own: OwnCards, clients: ClientFactory, clock: Clock) -> None:
        self._home = home
        self._store = store
        self.own = own
        self._clients = clients
        self._clock = clock
        self._settings = home.settings.keys
        self._wake = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._telling: dict[LabId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._cards = Buckets(_CARDS_RATE, _CARDS_BURST)
        own.receipts = {peer.lab: peer.receipt for peer in store.peers.all() if peer.receipt}

    async def run(self) -> None:
        """Renew the card before it expires, and tell the peers that have not heard of it, for ever."""
        while True:
            try:
                await self._round()
            except MandorlaError as error:
                _LOG.warning("card not renewed", code=error.code.name, detail=error.detail)
            except Exception as error:
                # Whatever it was, the certificate's end comes all the same: the next time may do better.
                _LOG.error("card not renewed", error=type(error).__name__)
            try:
                async with asyncio.timeout(ROUND_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _round(self) -> None:
        for own in self.own.drop():
            await asyncio.to_thread(own_cards.remove, self._home.path, own.card)
            _LOG.info("former certificate destroyed", issued=own.card.issued)
        before = self._settings.renew_before
        if before and certificates.expires_at(self.own.newest.card) - before <= self._clock():
            await self.renew("")
        if self.own.newest.card.issued:
            peers = await asyncio.to_thread(self._store.peers.all)
            await asyncio.gather(*(self.tell(peer) for peer in peers if self.pending(peer)))

    async def renew(self, endpoint: str) -> Card:
        """Issue the next card, and tell the peers soon; without an endpoint, it stays as it is.

        Raises InputError(BAD_CARD) for an endpoint that is none, NodeError(BAD_HOME) if it cannot be written.
        """
        async with self._renewing:
            newest = self.own.newest.card
            dialled = endpoint or newest.endpoint
            own = await asyncio.to_thread(issue, self._home, newest, dialled, self._clock())
            self.own.add(own)
        _LOG.info("card renewed", issued=own.card.issued)
        self._wake.set()
        return own.card

    def pending(self, peer: Peer) -> bool:
        """Say whether a peer has not said that it pinned this lab's newest card, which is no first one."""
        newest = self.own.newest.card
        return bool(newest.issued) and self.own.receipts.get(peer.lab) != newest.certificate_hash

    async def introduce(self, peer: Peer) -> None:
        """Find out by which card a peer knows this lab, where that is open: it is about to be called."""
        if len(self.own.live()) > 1 and self.pending(peer):
            await self.tell(peer)

    async def tell(self, peer: Peer) -> Told:
        """Give a peer this lab's newest card, over a connection by whichever card it has pinned."""
        async with self._telling[peer.lab]:
            newest = self.own.newest.card
            request = exchange_pb2.UpdateCardRequest(card=newest.to_json().encode())
            known = self.own.known_to(peer.lab)
            failure = Code.PEER_UNAVAILABLE
            for own in (known, *(other for other in self.own.live() if other is not known)):
                client = self._clients(peer.card, own)
                try:
                    await client.update_card(request, PATIENCE)
                except MandorlaError as error:
                    failure = error.code
                    # It does not know this lab by that certificate; perhaps it does by another.
                    if failure not in (Code.PEER_UNAVAILABLE, Code.NOT_PINNED):
                        break
                else:
                    await asyncio.to_thread(
                        self._store.peers.record_receipt, peer.lab, newest.certificate_hash
                    )
                    self.own.receipts[peer.lab] = newest.certificate_hash
                    _LOG.info("card taken by peer", peer=peer.name, issued=newest.issued)
                    return Told(peer.name)
                finally:
                    await client.close()
            _LOG.info("card not taken by peer", peer=peer.name, issued=newest.issued, code=failure.name)
            return Told(peer.name, failure)

    async def accept(
        self, peer: Peer, request: exchange_pb2.UpdateCardRequest
    ) -> exchange_pb2.UpdateCardResponse:
        """Pin a peer's next card beside the one by which it calls.

        Raises TransportError: CARD_REFUSED for what is no card, another lab's, or does not follow the pinned
        one; NOT_PINNED; RATE_LIMITED if a peer renews without end.
        """
        try:
            if len(request.card) > 4 * MAX_CARD_BYTES:
                raise InputError(Code.BAD_CARD, "too long")
            card = Card.from_json(request.card.decode("utf-8"))
        except (InputError, UnicodeDecodeError):
            raise TransportError(Code.CARD_REFUSED, "what came is no card") from None
        if card.identity != peer.lab:
            raise TransportError(Code.CARD_REFUSED, "the card is another lab's")
        if await asyncio.to_thread(
            self._store.peers.renew, card, self._settings.overlap, self._take(peer.lab)
        ):
            _LOG.info("peer renewed its card", peer=peer.name, issued=card.issued)
        return exchange_pb2.UpdateCardResponse()

    def _take(self, lab: LabId) -> Callable[[], None]:
        """Return what accounts for a card: each that is pinned makes the server load its list anew."""
        return lambda: self._cards.take(lab)
