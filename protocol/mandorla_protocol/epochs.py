"""Labs, collections' key epochs, and the keys derived for them (SPEC 5.2)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import NewType

from .encoding import Reader, Writer
from .engine import Engine
from .oprf import KeyPair

LabId = NewType("LabId", bytes)
"""A lab's Ed25519 public key, 32 bytes: its identity."""

_DOMAIN = "mandorla/v1 key epoch"
_MAX_COLLECTION = 32


@dataclass(frozen=True, slots=True)
class Epoch:
    """The life of one OPRF key: who holds it, who may query it, for which collection, and its number."""

    holder: LabId
    querier: LabId
    collection: str
    number: int

    def encode(self) -> bytes:
        """Return the canonical encoding, which is the key's derivation info and part of each label's AAD."""
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
        """Parse a canonical encoding; raises EncodingError on anything else."""
        reader = Reader(encoded, _DOMAIN)
        epoch = cls(
            holder=LabId(reader.fixed(32)),
            querier=LabId(reader.fixed(32)),
            collection=reader.text(_MAX_COLLECTION),
            number=reader.uint(4),
        )
        reader.finish()
        return epoch


def epoch_keys(engine: Engine, seed: bytes, epoch: Epoch) -> KeyPair:
    """Derive an epoch's key pair from its seed of 32 random bytes (RFC 9497 section 3.2.1)."""
    return engine.derive_key_pair(seed, epoch.encode())


def proof_nonce(seed: bytes, epoch: Epoch, request: bytes) -> bytes:
    """Derive the 64 uniform bytes behind the proof of one chunk, from the request's digest (SPEC 5.4).

    The request fixes the statement to be proved, so no nonce serves two statements, no weak random generator
    can repeat one, and the same request gets the same proof to the byte.
    """
    message = Writer("mandorla/v1 proof nonce").data(epoch.encode()).fixed(request, 32).finish()
    return hmac.digest(seed, message, hashlib.sha512)
