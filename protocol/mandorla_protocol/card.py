"""Cards: a lab's public identity, signed by itself and pinned by its peers (SPEC 9.1).

A card travels out of band, as a small JSON file. Its signature shows that name, certificate and endpoint
belong to the identity key; that the key belongs to the lab is what the operator who pins it vouches for.
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
"""Cards are issued before this time, in Unix seconds."""

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

    `issued` is when, in Unix seconds: of two cards of a lab the later one counts. A card without a date, as a
    lab's first is, has 0.
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
        """SHA-256 of the certificate's DER bytes: what TLS is pinned to and headers are bound to."""
        return hashlib.sha256(self.certificate).digest()

    def to_json(self) -> str:
        """Write the card as its file's text."""
        fields: dict[str, str | int] = {"format": _DATED_FORMAT if self.issued else _FORMAT}
        fields |= {name: getattr(self, name) for name in _TEXT_FIELDS}
        fields |= {"issued": self.issued} if self.issued else {}
        fields |= {name: base64.b64encode(getattr(self, name)).decode("ascii") for name in _BYTE_FIELDS}
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Parse a card's file and verify its signature.

        Raises InputError(BAD_CARD) if it is too long, is no JSON object with exactly the card's fields,
        breaks a field's syntax, or is not signed by the identity that it names.
        """
        try:
            if len(text) > MAX_CARD_BYTES:
                raise ValueError("too long")
            fields = json.loads(text)
            if not isinstance(fields, dict):
                raise ValueError("not a card")
            issued = _read_issued(fields)
            if set(fields) != {*_TEXT_FIELDS, *_BYTE_FIELDS}:
                raise ValueError("missing or unknown fields")
            if not all(isinstance(value, str) for value in fields.values()):
                raise ValueError("a field is no text")
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
                Code.BAD_CARD, "the log origin is 1 to 255 printable characters, no space, no plus"
            )
        if not 0 <= self.issued < MAX_ISSUED:
            raise InputError(Code.BAD_CARD, "the card is issued at no time that a card can have")
        if len(self.identity) != 32:
            raise CryptoError(Code.BAD_LENGTH, "an identity has 32 bytes")
        signatures.verify(self.identity, _signed(self), self.signature)


def issue_card(
    key: Ed25519PrivateKey, name: str, certificate: bytes, endpoint: str, log_origin: str, issued: int = 0
) -> Card:
    """Make and sign a card; without a time of issue, one that has no date.

    Raises InputError(BAD_CARD) if a field breaks its syntax.
    """
    unsigned = Card(name, signatures.lab_id(key), certificate, endpoint, log_origin, Signature(b""), issued)
    if not 0 <= issued < MAX_ISSUED:
        raise InputError(Code.BAD_CARD, "the card is issued at no time that a card can have")
    card = replace(unsigned, signature=signatures.sign(key, _signed(unsigned)))
    card._require_valid()
    return card


def fingerprint(identity: bytes) -> str:
    """Write an identity for people to compare over another channel."""
    digits = identity.hex()
    return " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))


def require_name(name: str) -> None:
    """Raise InputError(BAD_CARD) unless the name is 1 to 63 of a-z, 0-9 and inner hyphens."""
    if not _NAME.fullmatch(name):
        raise InputError(Code.BAD_CARD, "a lab's name is 1 to 63 of a-z, 0-9 and -, with no - at either end")


def require_endpoint(endpoint: str) -> None:
    """Raise InputError(BAD_CARD) unless the endpoint is HOST:PORT."""
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
    """Take the format and the time of issue out of a card's members; return the time."""
    match fields.pop("format", None):
        case str(name) if name == _FORMAT:
            return 0
        case str(name) if name == _DATED_FORMAT:
            issued = fields.pop("issued", None)
            if type(issued) is int and 0 < issued < MAX_ISSUED:
                return issued
            raise ValueError("no time of issue")
        case _:
            raise ValueError("not a card")
