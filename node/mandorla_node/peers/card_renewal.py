"""Renewal of certificates without downtime: this lab issues its next card, and pins its peers' (SPEC 9.10).

The certificate of each card has a TLS name of its own. During the overlap, this lab presents the certificates
of both cards, and its peers accept both. So each peer changes over by itself, when it reports that it has
pinned the new card.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
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
from .current_cards import CurrentCards
from .rate_limits import PeerBuckets

_LOG = structlog.get_logger()

_CHECK_INTERVAL: Final = 60.0
"""Seconds between two checks of the card's age, and two deliveries to peers that have not pinned the card."""

_DELIVERY_TIMEOUT: Final = 10.0
"""Seconds for one call that delivers a card."""

_PEER_RENEWAL_BURST: Final = 4
_PEER_RENEWAL_RATE: Final = 1 / 3600


def issue(home: Home, newest: Card, endpoint: str, now: int) -> OwnCard:
    """Issue the successor of the newest card, with a new key and certificate, and write it into the home.

    Raises InputError(BAD_CARD) for a malformed endpoint, NodeError(BAD_HOME) if the home cannot be written.
    """
    require_endpoint(endpoint)
    issued = max(now, newest.issued + 1)
    key, certificate = certificates.issue_certificate(
        lab_id(home.identity), datetime.fromtimestamp(now, UTC), issued
    )
    der = certificates.der_from_pem(certificate)
    card = issue_card(home.identity, newest.name, der, endpoint, newest.log_origin, issued)
    own = OwnCard(card, key, certificate)
    is_sealed = home.key_source.kind is not SourceKind.HOME
    own_cards.add(home.path, own, home.vault if is_sealed else None)
    return own


def renew_stopped(home: Home, endpoint: str, now: int) -> Card:
    """Issue the next card of a lab whose node is stopped; the node delivers it to the peers when it starts.

    Raises InputError: BAD_CARD, or BAD_INPUT while another command changes the home; NodeError(BAD_HOME).
    """
    with files.locked_home(home.path):
        return issue(home, home.card, endpoint or home.card.endpoint, now).card


class CardRenewal:
    """Renews this lab's card, delivers it to the peers, and pins the cards that peers deliver."""

    def __init__(
        self, home: Home, store: Store, cards: CurrentCards, clients: ClientFactory, clock: Clock
    ) -> None:
        self._home = home
        self._store = store
        self.cards = cards
        self._clients = clients
        self._clock = clock
        self._settings = home.settings.keys
        self._wake = asyncio.Event()
        self._renewal_lock = asyncio.Lock()
        self._delivery_locks: dict[LabId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._peer_renewals = PeerBuckets(_PEER_RENEWAL_RATE, _PEER_RENEWAL_BURST)

    async def run(self) -> None:
        """Renew the card before it expires, and deliver it to the peers, until cancelled."""
        while True:
            try:
                await self._renew_and_deliver()
            except MandorlaError as error:
                _LOG.warning("card not renewed", code=error.code.name, detail=error.detail)
            except Exception as error:
                # An unexpected error must not end this task: the certificate would expire without a renewal.
                _LOG.error("card not renewed", error=type(error).__name__)
            try:
                async with asyncio.timeout(_CHECK_INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _renew_and_deliver(self) -> None:
        for own in self.cards.remove_ended():
            await asyncio.to_thread(own_cards.remove, self._home.path, own.card)
            _LOG.info("former certificate destroyed", issued=own.card.issued)
        before = self._settings.renew_before
        if before and certificates.expires_at(self.cards.newest.card) - before <= self._clock():
            await self.renew("")
        if self.cards.newest.card.issued:
            peers = await asyncio.to_thread(self._store.peers.all)
            await asyncio.gather(*(self._deliver(peer) for peer in peers if self.is_pending(peer)))

    async def renew(self, endpoint: str) -> Card:
        """Issue the next card, and have `run` deliver it; an empty endpoint keeps the present one.

        Raises as `issue` does.
        """
        async with self._renewal_lock:
            newest = self.cards.newest.card
            own = await asyncio.to_thread(
                issue, self._home, newest, endpoint or newest.endpoint, self._clock()
            )
            self.cards.add(own)
        _LOG.info("card renewed", issued=own.card.issued)
        self._wake.set()
        return own.card

    def is_pending(self, peer: Peer) -> bool:
        """Return whether this lab's newest card is a renewed one that the peer has not reported as pinned."""
        return bool(self.cards.newest.card.issued) and not self.cards.is_newest_pinned_by(peer.lab)

    async def try_deliver(self, peer: Peer) -> None:
        """Deliver a pending card to a peer before a round, while this lab presents several cards.

        If the peer pins the card, the round uses it. Otherwise the round uses the card of the last receipt.
        """
        if len(self.cards.presented()) > 1 and self.is_pending(peer):
            await self._deliver(peer)

    async def _deliver(self, peer: Peer) -> None:
        """Send a peer this lab's newest card, over a connection whose certificate the peer has pinned."""
        async with self._delivery_locks[peer.lab]:
            newest = self.cards.newest.card
            request = exchange_pb2.UpdateCardRequest(card=newest.to_json().encode())
            # The peer refuses a connection with a certificate that it has not pinned. The receipt says which
            # card it had pinned. The others are tried too: its operator may have pinned another card by hand.
            pinned = self.cards.pinned_by(peer.lab)
            failure = Code.PEER_UNAVAILABLE
            for own in (pinned, *(other for other in self.cards.presented() if other is not pinned)):
                client = self._clients(peer.card, own)
                try:
                    await client.update_card(request, _DELIVERY_TIMEOUT)
                except MandorlaError as error:
                    failure = error.code
                    # With these codes, the peer may only lack the certificate of this connection.
                    if failure not in (Code.PEER_UNAVAILABLE, Code.NOT_PINNED):
                        break
                else:
                    await asyncio.to_thread(
                        self._store.peers.record_receipt, peer.lab, newest.certificate_hash
                    )
                    self.cards.record_receipt(peer.lab, newest.certificate_hash)
                    _LOG.info("card taken by peer", peer=peer.name, issued=newest.issued)
                    return
                finally:
                    await client.close()
            _LOG.info("card not taken by peer", peer=peer.name, issued=newest.issued, code=failure.name)

    async def update_card(
        self, peer: Peer, request: exchange_pb2.UpdateCardRequest
    ) -> exchange_pb2.UpdateCardResponse:
        """Pin a peer's next card, and accept the card that it replaces for the overlap.

        Raises TransportError: CARD_REFUSED for a malformed card, a card of another lab, or one that is not a
        successor of the pinned card; NOT_PINNED; RATE_LIMITED for a peer that renews too often.
        """
        try:
            if len(request.card) > 4 * MAX_CARD_BYTES:
                raise InputError(Code.BAD_CARD, "the card is too long")
            card = Card.from_json(request.card.decode("utf-8"))
        except (InputError, UnicodeDecodeError):
            raise TransportError(Code.CARD_REFUSED, "malformed card") from None
        if card.identity != peer.lab:
            raise TransportError(Code.CARD_REFUSED, "the card is of another lab")
        if await asyncio.to_thread(
            self._store.peers.renew, card, self._settings.overlap, self._admit_renewal(peer.lab)
        ):
            _LOG.info("peer renewed its card", peer=peer.name, issued=card.issued)
        return exchange_pb2.UpdateCardResponse()

    def _admit_renewal(self, lab: LabId) -> Callable[[], None]:
        """Return a function that raises TransportError(RATE_LIMITED) if a peer renews too often.

        Each card that is pinned gives the server new TLS credentials, which is costly.
        """
        return lambda: self._peer_renewals.take(lab)
