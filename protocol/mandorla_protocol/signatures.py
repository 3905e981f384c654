"""Ed25519 signatures over canonical encodings (RFC 8032, SPEC 3.3).

What is signed is always a structure of `encoding`, whose domain string keeps the signature of one kind of
structure from being taken for another's.
"""

from __future__ import annotations

from typing import Final, NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl.bindings import crypto_core_ed25519_is_valid_point

from .epochs import LabId
from .errors import Code, CryptoError

Signature = NewType("Signature", bytes)

SIGNATURE_SIZE: Final = 64
IDENTITY_SIZE: Final = 32


def lab_id(key: Ed25519PrivateKey) -> LabId:
    """Return the identity that belongs to a private key."""
    return LabId(key.public_key().public_bytes_raw())


def sign(key: Ed25519PrivateKey, structure: bytes) -> Signature:
    """Sign a structure's canonical encoding."""
    return Signature(key.sign(structure))


def verify(signer: LabId, structure: bytes, signature: bytes) -> Signature:
    """Check a signature and return it as one.

    An identity of small order is refused: with it, one signature fits many structures and needs no private
    key, so that it would bind its lab to nothing.

    Raises CryptoError(BAD_SIGNATURE) if it is not the signer's on exactly this structure.
    """
    if len(signer) != IDENTITY_SIZE or not crypto_core_ed25519_is_valid_point(signer):
        raise CryptoError(Code.BAD_SIGNATURE, "the signer's identity is no canonical key of prime order")
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, structure)
    except (InvalidSignature, ValueError):
        raise CryptoError(Code.BAD_SIGNATURE) from None
    return Signature(signature)
