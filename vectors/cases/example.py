"""The example of most vectors: two labs, and one round between them."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..second_verifier import blind, derive_key_pair, evaluate_and_prove
from . import structures
from .inputs import Value, derived
from .structures import join

CREATED: Final = 1_767_225_600
"""2026-01-01 00:00:00 UTC."""


class Lab:
    """A lab: its name, its identity key and its OPRF keys."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.origin = f"{name}.example/mandorla"
        self.seed = derived(f"{name} identity", 32)
        self._key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.identity = self._key.public_key().public_bytes_raw()
        self.certificate = derived(f"{name} certificate", 48)
        self.epoch_seed = derived(f"{name} epoch seed", 32)

    def sign(self, message: bytes) -> bytes:
        """Sign a message (RFC 8032)."""
        return self._key.sign(message)

    def epoch(self, querier: Lab) -> Value:
        """Return the key epoch of this lab as the holder for a querier."""
        return {
            "holder": self.identity,
            "querier": querier.identity,
            "collection": "infrastructure",
            "number": 7,
        }

    def keys(self, querier: Lab) -> tuple[bytes, bytes]:
        """Return the secret and the public key of that epoch."""
        return derive_key_pair(self.epoch_seed, join(structures.epoch(self.epoch(querier))))

    def party(self, querier: Lab) -> Value:
        """Return this lab's party in a header."""
        return {
            "lab": self.identity,
            "certificate_hash": hashlib.sha256(self.certificate).digest(),
            "offer": {
                "epoch_number": 7,
                "public_key": self.keys(querier)[1],
                "budget": 100_000,
                "cap": 1_000,
                "table": {"version": 3, "size": 768, "root": derived(f"{self.name} root", 32)},
            },
        }


A: Final = Lab("lab-a")
B: Final = Lab("lab-b")

HEADER: Final[Value] = {
    "round_id": derived("round id", 16),
    "mode": 1,
    "kind": 1,
    "collection": "infrastructure",
    "profiles": [["domain", 1], ["ipv4", 1], ["ipv6", 1]],
    "initiator": A.party(B),
    "responder": B.party(A),
    "purpose": "protection of users",
    "legal_basis": "legitimate interest",
    "created": CREATED,
    "expires": CREATED + 3_600,
}
HEADER_DIGEST: Final = hashlib.sha256(join(structures.header(HEADER))).digest()

EPOCH: Final = B.epoch(A)
"""The epoch of the half in which lab A asks and lab B holds."""

SECRET, PUBLIC_KEY = B.keys(A)

COUNT: Final = 3
TOKENS: Final = b"".join(derived(f"token {number}", 32) for number in range(COUNT))
UNIFORM: Final = b"".join(derived(f"blind {number}", 64) for number in range(COUNT))
BLINDS, BLINDED = blind(TOKENS, UNIFORM)

REQUEST: Final[Value] = {"header_digest": HEADER_DIGEST, "index": 0, "blinded": BLINDED}
REQUEST_DIGEST: Final = hashlib.sha256(join(structures.chunk_request(REQUEST))).digest()
NONCE: Final = derived("nonce", 64)
EVALUATED, PROOF = evaluate_and_prove(SECRET, PUBLIC_KEY, BLINDED, NONCE)

LABEL: Final[Value] = {
    "reason": 1,
    "severity": 3,
    "confidence": 90,
    "first_seen": CREATED - 86_400,
    "expires": 0,
    "tlp": 2,
}

CLOSE: Final[Value] = {
    "header_digest": HEADER_DIGEST,
    "initiator_half": derived("initiator half", 32),
    "responder_half": derived("responder half", 32),
    "outcome": 1,
    "code": "",
}
ABORT: Final[Value] = CLOSE | {
    "initiator_half": bytes(32),
    "responder_half": bytes(32),
    "outcome": 2,
    "code": "BAD_PROOF",
}
