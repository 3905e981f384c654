"""The round header: the terms of a round, which both labs sign before the first evaluation (SPEC 9.3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NewType

from .encoding import Reader, Writer
from .epochs import MAX_COLLECTION, Epoch, LabId
from .errors import Code, EncodingError, RoundError
from .group import Element
from .table import MAX_TABLE_SIZE, TableCommitment

RoundId = NewType("RoundId", bytes)
"""16 random bytes that the initiator draws."""

PROTOCOL_VERSION: Final = "mandorla/v1"
SUITE: Final = "ristretto255-SHA512"
ROUND_ID_SIZE: Final = 16
MAX_CAP: Final = 2**32
MAX_LIFETIME: Final = 7 * 24 * 3600
CLOCK_SKEW: Final = 300

_DOMAIN: Final = "mandorla/v1 round header"
_OFFER_DOMAIN: Final = "mandorla/v1 offer"
_MAX_NAME: Final = 64
_MAX_TEXT: Final = 200
_MAX_PROFILES: Final = 64


class RoundMode(IntEnum):
    """Whether a round closes when both halves are complete (batch), or stays open (standing, SPEC 19)."""

    BATCH = 1
    STANDING = 2


class RoundKind(IntEnum):
    """The querier's set in a round: its flagged set (shared) or its observed set (watch).

    The holder's set is always its flagged set.
    """

    SHARED = 1
    WATCH = 2


@dataclass(frozen=True, slots=True)
class Offer:
    """A lab's terms as a holder: its key epoch and public key, its limits, and its table (SPEC 9.2).

    `budget` limits the evaluations of the key epoch, `cap` those of the round.
    """

    epoch_number: int
    public_key: Element
    budget: int
    cap: int
    table: TableCommitment

    def write(self, writer: Writer) -> None:
        """Append the offer's fields."""
        writer.uint(self.epoch_number, 4).fixed(self.public_key, 32).uint(self.budget, 8).uint(self.cap, 8)
        writer.uint(self.table.version, 8).uint(self.table.size, 8).fixed(self.table.root, 32)

    @classmethod
    def read(cls, reader: Reader) -> Offer:
        """Read the offer's fields. The engine checks the public key when it uses the key."""
        return cls(
            epoch_number=reader.uint(4),
            public_key=Element(reader.fixed(32)),
            budget=reader.uint(8),
            cap=reader.uint(8),
            table=TableCommitment(version=reader.uint(8), size=reader.uint(8), root=reader.fixed(32)),
        )

    def encode(self) -> bytes:
        """Return the canonical encoding, as the answer to Hello carries it (SPEC 9.2)."""
        writer = Writer(_OFFER_DOMAIN)
        self.write(writer)
        return writer.finish()

    @classmethod
    def decode(cls, encoded: bytes) -> Offer:
        """Parse a canonical encoding.

        Raises EncodingError: BAD_ENCODING or BAD_LENGTH for any other bytes.
        """
        reader = Reader(encoded, _OFFER_DOMAIN)
        offer = cls.read(reader)
        reader.finish()
        return offer


@dataclass(frozen=True, slots=True)
class Party:
    """One lab in a header: its identity, the SHA-256 of its TLS certificate, and its offer."""

    lab: LabId
    certificate_hash: bytes
    offer: Offer

    def write(self, writer: Writer) -> None:
        """Append the party's fields."""
        writer.fixed(self.lab, 32).fixed(self.certificate_hash, 32)
        self.offer.write(writer)

    @classmethod
    def read(cls, reader: Reader) -> Party:
        """Read the party's fields."""
        return cls(LabId(reader.fixed(32)), reader.fixed(32), Offer.read(reader))


@dataclass(frozen=True, slots=True)
class RoundHeader:
    """The terms of a round (SPEC 9.3). `created` and `expires` are Unix seconds."""

    round_id: RoundId
    mode: RoundMode
    kind: RoundKind
    collection: str
    profiles: tuple[tuple[str, int], ...]
    initiator: Party
    responder: Party
    purpose: str
    legal_basis: str
    created: int
    expires: int

    def encode(self) -> bytes:
        """Return the canonical encoding: the bytes that both labs sign (SPEC 9.3)."""
        writer = Writer(_DOMAIN).text(PROTOCOL_VERSION).text(SUITE).fixed(self.round_id, ROUND_ID_SIZE)
        writer.uint(self.mode, 1).uint(self.kind, 1).text(self.collection)
        writer.sequence(self.profiles, lambda w, profile: w.text(profile[0]).uint(profile[1], 2))
        self.initiator.write(writer)
        self.responder.write(writer)
        writer.text(self.purpose).text(self.legal_basis)
        return writer.uint(self.created, 8).uint(self.expires, 8).finish()

    @classmethod
    def decode(cls, encoded: bytes) -> RoundHeader:
        """Parse a canonical encoding.

        Raises RoundError: VERSION_MISMATCH for another protocol version or suite. Raises EncodingError:
        BAD_ENCODING or BAD_LENGTH for any other bytes that are no header.
        """
        reader = Reader(encoded, _DOMAIN)
        if (reader.text(_MAX_NAME), reader.text(_MAX_NAME)) != (PROTOCOL_VERSION, SUITE):
            raise RoundError(Code.VERSION_MISMATCH)
        try:
            header = cls(
                round_id=RoundId(reader.fixed(ROUND_ID_SIZE)),
                mode=RoundMode(reader.uint(1)),
                kind=RoundKind(reader.uint(1)),
                collection=reader.text(MAX_COLLECTION),
                profiles=reader.sequence(lambda r: (r.text(_MAX_NAME), r.uint(2)), _MAX_PROFILES),
                initiator=Party.read(reader),
                responder=Party.read(reader),
                purpose=reader.text(_MAX_TEXT),
                legal_basis=reader.text(_MAX_TEXT),
                created=reader.uint(8),
                expires=reader.uint(8),
            )
        except ValueError:
            raise EncodingError(Code.BAD_ENCODING, "a header has an unknown mode or kind") from None
        reader.finish()
        return header

    def digest(self) -> bytes:
        """Return SHA-256 of the encoding, which binds chunks and closes to this round (SPEC 9.6)."""
        return hashlib.sha256(self.encode()).digest()

    def party(self, lab: LabId) -> Party:
        """Return the lab's party.

        Raises RoundError: BAD_HEADER if the lab is neither party.
        """
        for party in (self.initiator, self.responder):
            if party.lab == lab:
                return party
        raise RoundError(Code.BAD_HEADER, "the lab is not a party to the header")

    def other(self, lab: LabId) -> Party:
        """Return the party of the lab's peer.

        Raises RoundError: BAD_HEADER if the lab is neither party.
        """
        return self.responder if self.party(lab) is self.initiator else self.initiator

    def epoch(self, holder: LabId) -> Epoch:
        """Return the key epoch of a party as the holder.

        Raises RoundError: BAD_HEADER if the lab is neither party.
        """
        offer = self.party(holder).offer
        return Epoch(holder, self.other(holder).lab, self.collection, offer.epoch_number)

    def require_valid(self, now: int) -> None:
        """Check the header by itself, and that it is valid at `now`, in Unix seconds (SPEC 9.3).

        Raises RoundError: BAD_HEADER for parties, limits, texts or times that no header may have;
        HEADER_EXPIRED outside the header's validity.
        """
        if self.initiator.lab == self.responder.lab:
            raise RoundError(Code.BAD_HEADER, "both parties are the same lab")
        if self.mode is RoundMode.STANDING and self.kind is not RoundKind.WATCH:
            raise RoundError(Code.BAD_HEADER, "a standing round is not a watch")
        if not self.purpose.strip() or not self.legal_basis.strip():
            raise RoundError(Code.BAD_HEADER, "the purpose or the legal basis is empty")
        texts = ((self.collection, MAX_COLLECTION), (self.purpose, _MAX_TEXT), (self.legal_basis, _MAX_TEXT))
        for text, limit in texts:
            if not text.isprintable():
                raise RoundError(Code.BAD_HEADER, "a text holds control characters")
            if len(text.encode()) > limit:
                raise RoundError(Code.BAD_HEADER, "a text is longer than its limit")
        if self.profiles != tuple(sorted(set(self.profiles))):
            raise RoundError(Code.BAD_HEADER, "profiles are not sorted and distinct")
        for offer in (self.initiator.offer, self.responder.offer):
            if offer.epoch_number == 0:
                raise RoundError(Code.BAD_HEADER, "a key epoch has number 0")
            if not 0 < offer.cap <= min(offer.budget, MAX_CAP):
                raise RoundError(Code.BAD_HEADER, "a cap is zero, or over its budget")
            if not 0 < offer.table.version <= offer.table.size <= MAX_TABLE_SIZE:
                raise RoundError(Code.BAD_HEADER, "a table commitment has an impossible version or size")
        if not self.created < self.expires <= self.created + MAX_LIFETIME:
            raise RoundError(Code.BAD_HEADER, "a header is valid for longer than seven days, or for no time")
        self.require_current(now)

    def require_current(self, now: int) -> None:
        """Check that the header is valid at `now`, in Unix seconds; clocks may differ by `CLOCK_SKEW`.

        Raises RoundError: HEADER_EXPIRED otherwise.
        """
        if not self.created - CLOCK_SKEW <= now < self.expires:
            raise RoundError(Code.HEADER_EXPIRED)
