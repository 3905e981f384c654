"""The cards that this lab presents to its peers: the newest, and others during their overlap (SPEC 9.10)."""

from __future__ import annotations

from collections.abc import Mapping

from mandorla_protocol.epochs import LabId

from ..core.clock import Clock
from ..crypto import certificates
from ..home.own_cards import OwnCard


class CurrentCards:
    """The cards that this lab presents to peers, and which of them each peer has pinned.

    The files of the cards are in the home (home/own_cards.py).
    """

    def __init__(
        self, cards: tuple[OwnCard, ...], receipts: Mapping[LabId, bytes], overlap: int, clock: Clock
    ) -> None:
        """Take the cards of the home, the newest first, and the receipts of the store.

        A receipt is the certificate hash of the card that a peer last reported as pinned. `overlap` is in
        seconds.
        """
        self._cards = list(cards)
        self._receipts = dict(receipts)
        self._overlap = overlap
        self._clock = clock

    @property
    def newest(self) -> OwnCard:
        """The card that was issued last."""
        return self._cards[0]

    def presented(self) -> list[OwnCard]:
        """Return the cards whose certificates this lab presents now, the newest first."""
        now = self._clock()
        presented = [self._cards[0]]
        for successor, own in zip(self._cards, self._cards[1:], strict=False):
            if now < min(successor.card.issued + self._overlap, certificates.expires_at(own.card)):
                presented.append(own)
        return presented

    def pinned_by(self, lab: LabId) -> OwnCard:
        """Return the card that a peer last reported as pinned, or the oldest card if it has reported none."""
        presented = self.presented()
        receipt = self._receipts.get(lab)
        return next((own for own in presented if own.card.certificate_hash == receipt), presented[-1])

    def is_newest_pinned_by(self, lab: LabId) -> bool:
        """Return whether a peer has reported that it pinned the newest card."""
        return self._receipts.get(lab) == self.newest.card.certificate_hash

    def record_receipt(self, lab: LabId, certificate_hash: bytes) -> None:
        """Record the report of a peer that it pinned the card of a certificate."""
        self._receipts[lab] = certificate_hash

    def with_certificate(self, certificate_hash: bytes) -> OwnCard:
        """Return the presented card that has a certificate, or the newest card if none has it."""
        return next(
            (own for own in self.presented() if own.card.certificate_hash == certificate_hash), self.newest
        )

    def add(self, own: OwnCard) -> None:
        """Add a card, which becomes the newest."""
        self._cards.insert(0, own)

    def remove_ended(self) -> list[OwnCard]:
        """Remove and return the cards whose overlap has ended."""
        presented = self.presented()
        ended = [own for own in self._cards if own not in presented]
        self._cards = presented
        return ended
