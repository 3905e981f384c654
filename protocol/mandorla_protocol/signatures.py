"""Ed25519 signatures over canonical encodings (RFC 8032, SPEC 3.3).

A lab signs nothing but canonical encodings (`encoding`) and the texts of signed notes (`log.notes`). The
domain string of an encoding is part of the signed bytes, so a signature on one structure never verifies on
another.
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
    """Return the identity of a private key: its public key, 32 bytes."""
    return LabId(key.public_key().public_bytes_raw())


def sign(key: Ed25519PrivateKey, structure: bytes) -> Signature:
    """Sign a structure's canonical encoding; return 64 bytes (RFC 8032 section 5.1.6)."""
    return Signature(key.sign(structure))


def verify(signer: LabId, structure: bytes, signature: bytes) -> Signature:
    """Verify a signature on a structure's canonical encoding; return the signature (SPEC 3.3).

    Raises CryptoError: BAD_SIGNATURE if the signature or the signer's identity is not valid.
    """
    # RFC 8032 does not demand this check, and OpenSSL does not make it. Under an identity of small order, one
    # signature verifies on many structures and needs no private key, so it would bind its lab to nothing.
    if len(signer) != IDENTITY_SIZE or not crypto_core_ed25519_is_valid_point(signer):
        raise CryptoError(Code.BAD_SIGNATURE, "the signer's identity is not a canonical point of prime order")
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, structure)
    except (InvalidSignature, ValueError):
        raise CryptoError(Code.BAD_SIGNATURE) from None
    return Signature(signature)
