"""Labs, key epochs, and the derivation of their keys (SPEC 5.2)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, NewType

from .encoding import Reader, Writer
from .engine import Engine
from .oprf import KeyPair

LabId = NewType("LabId", bytes)
"""A lab's identity: its Ed25519 public key, 32 bytes."""

_DOMAIN = "mandorla/v1 key epoch"
MAX_COLLECTION: Final = 32


@dataclass(frozen=True, slots=True)
class Epoch:
    """The key epoch of one OPRF key: its holder, its querier, its collection and its number.

    One key serves one querier and one collection only, so tags of two queriers cannot be compared.
    """

    holder: LabId
    querier: LabId
    collection: str
    number: int

    def encode(self) -> bytes:
        """Return the canonical encoding:

        the `info` of the key's derivation, and a part of each label's AAD.
        """
        return (
            Writer(_DOMAIN)
            .fixed(self.holder, 32)
            .fixed(self.querier, 32)
            .text(self.collection)
            .uint(self.number, 4)
            .finish()
        )

    @classmethod
    def decode(cls, encoded: bytes) -> Epoch:
        """Parse a canonical encoding.

        Raises EncodingError: BAD_ENCODING or BAD_LENGTH for any other bytes.
        """
        reader = Reader(encoded, _DOMAIN)
        epoch = cls(
            holder=LabId(reader.fixed(32)),
            querier=LabId(reader.fixed(32)),
            collection=reader.text(MAX_COLLECTION),
            number=reader.uint(4),
        )
        reader.finish()
        return epoch


def epoch_keys(engine: Engine, seed: bytes, epoch: Epoch) -> KeyPair:
    """Derive a key epoch's key pair from its seed, 32 random bytes (RFC 9497 section 3.2.1, SPEC 5.2)."""
    return engine.derive_key_pair(seed, epoch.encode())


def proof_nonce(seed: bytes, epoch: Epoch, request: bytes) -> bytes:
    """Derive the 64 uniform bytes of a proof's nonce from the digest of the chunk's request (SPEC 5.4).

    Two proofs of two statements with one nonce reveal the key. The request fixes the statement, so the
    derivation never gives one nonce to two statements, and no weak random generator can repeat one. The same
    request gets the same proof, to the byte.
    """
    message = Writer("mandorla/v1 proof nonce").data(epoch.encode()).fixed(request, 32).finish()
    return hmac.digest(seed, message, hashlib.sha512)
