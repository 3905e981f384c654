"""Cards: a lab's public identity, signed by the lab and pinned by its peers (SPEC 9.1).

A card travels out of band, as a small JSON file. Its signature shows that name, certificate and endpoint
belong to the identity key. It does not show that the key belongs to the lab: the peer's operator checks the
key's fingerprint with the lab before pinning the card.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import signatures
from .encoding import Writer
from .epochs import LabId
from .errors import Code, CryptoError, InputError, MandorlaError
from .signatures import Signature

MAX_CARD_BYTES: Final = 16_384

MAX_ISSUED: Final = 2**40
"""The limit of a card's time of issue, in Unix seconds."""

_FORMAT: Final = "mandorla/v1 card"
_DATED_FORMAT: Final = "mandorla/v1 dated card"
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ENDPOINT: Final = re.compile(r"(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})")
_ORIGIN: Final = re.compile(r"[^\s+]{1,255}")
_TEXT_FIELDS: Final = ("name", "endpoint", "log_origin")
_BYTE_FIELDS: Final = ("identity", "certificate", "signature")


@dataclass(frozen=True, slots=True)
class Card:
    """A lab's name, identity key, TLS certificate (DER), endpoint (HOST:PORT) and log origin.

    `issued` is the time of issue in Unix seconds, and 0 in a card without a date, such as a lab's first card.
    Of two cards of one lab, the later card counts.
    """

    name: str
    identity: LabId
    certificate: bytes
    endpoint: str
    log_origin: str
    signature: Signature
    issued: int = 0

    @property
    def certificate_hash(self) -> bytes:
        """SHA-256 of the certificate in DER, 32 bytes: peers pin it for TLS, and headers name it."""
        return hashlib.sha256(self.certificate).digest()

    def to_json(self) -> str:
        """Return the text of the card's file."""
        fields: dict[str, str | int] = {"format": _DATED_FORMAT if self.issued else _FORMAT}
        fields |= {name: getattr(self, name) for name in _TEXT_FIELDS}
        fields |= {"issued": self.issued} if self.issued else {}
        fields |= {name: base64.b64encode(getattr(self, name)).decode("ascii") for name in _BYTE_FIELDS}
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Parse the text of a card's file, and verify its signature (SPEC 9.1).

        Raises InputError: BAD_CARD if the text is too long, is not a JSON object with exactly the card's
        fields, has a field that breaks its syntax, or is not signed by the card's identity.
        """
        try:
            if len(text) > MAX_CARD_BYTES:
                raise ValueError("the card is too long")
            fields = json.loads(text)
            if not isinstance(fields, dict):
                raise ValueError("the file does not hold a card")
            issued = _read_issued(fields)
            if set(fields) != {*_TEXT_FIELDS, *_BYTE_FIELDS}:
                raise ValueError("the card lacks a field, or has an unknown one")
            if not all(isinstance(value, str) for value in fields.values()):
                raise ValueError("a field of the card is not a text")
            binary = {name: base64.b64decode(fields[name], validate=True) for name in _BYTE_FIELDS}
            card = cls(
                name=fields["name"],
                identity=LabId(binary["identity"]),
                certificate=binary["certificate"],
                endpoint=fields["endpoint"],
                log_origin=fields["log_origin"],
                signature=Signature(binary["signature"]),
                issued=issued,
            )
            card._require_valid()
        except (ValueError, RecursionError, MandorlaError) as error:
            reason = error.detail if isinstance(error, MandorlaError) else str(error)
            raise InputError(Code.BAD_CARD, reason) from None
        return card

    def _require_valid(self) -> None:
        require_name(self.name)
        require_endpoint(self.endpoint)
        if not _ORIGIN.fullmatch(self.log_origin) or not self.log_origin.isprintable():
            raise InputError(
                Code.BAD_CARD, "the log origin is not 1 to 255 printable characters without space or plus"
            )
        if not 0 <= self.issued < MAX_ISSUED:
            raise InputError(Code.BAD_CARD, "the time of issue is out of range")
        if len(self.identity) != 32:
            raise CryptoError(Code.BAD_LENGTH, "an identity does not have 32 bytes")
        signatures.verify(self.identity, _signed(self), self.signature)


def issue_card(
    key: Ed25519PrivateKey, name: str, certificate: bytes, endpoint: str, log_origin: str, issued: int = 0
) -> Card:
    """Return a signed card, which has no date if `issued` is 0 (SPEC 9.1).

    Raises InputError: BAD_CARD if a field breaks its syntax.
    """
    unsigned = Card(name, signatures.lab_id(key), certificate, endpoint, log_origin, Signature(b""), issued)
    if not 0 <= issued < MAX_ISSUED:
        raise InputError(Code.BAD_CARD, "the time of issue is out of range")
    card = replace(unsigned, signature=signatures.sign(key, _signed(unsigned)))
    card._require_valid()
    return card


def fingerprint(identity: bytes) -> str:
    """Return an identity as groups of eight hexadecimal digits, for people to compare out of band."""
    digits = identity.hex()
    return " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))


def require_name(name: str) -> None:
    """Check that a lab's name is 1 to 63 of a-z, 0-9 and inner hyphens.

    Raises InputError: BAD_CARD otherwise.
    """
    if not _NAME.fullmatch(name):
        raise InputError(Code.BAD_CARD, "a lab's name has 1 to 63 of a-z, 0-9 and -, with no - at either end")


def require_endpoint(endpoint: str) -> None:
    """Check that an endpoint is HOST:PORT.

    Raises InputError: BAD_CARD otherwise.
    """
    parts = _ENDPOINT.fullmatch(endpoint)
    if not parts or int(parts[2]) > 65_535:
        raise InputError(Code.BAD_CARD, "an endpoint is HOST:PORT, with an IPv6 address in brackets")


def _signed(card: Card) -> bytes:
    writer = (
        Writer(_DATED_FORMAT if card.issued else _FORMAT)
        .text(card.name)
        .fixed(card.identity, 32)
        .data(card.certificate)
        .text(card.endpoint)
        .text(card.log_origin)
    )
    return (writer.uint(card.issued, 8) if card.issued else writer).finish()


def _read_issued(fields: dict[str, object]) -> int:
    """Remove the format and the time of issue from a card's members; return the time, 0 for none."""
    match fields.pop("format", None):
        case str(name) if name == _FORMAT:
            return 0
        case str(name) if name == _DATED_FORMAT:
            issued = fields.pop("issued", None)
            if type(issued) is int and 0 < issued < MAX_ISSUED:
                return issued
            raise ValueError("the time of issue is missing or out of range")
        case _:
            raise ValueError("the file does not hold a card of a known format")
