"""Fraud proofs: two contradicting checkpoints of one log, in a file that anyone can verify (SPEC 18.5).

The file is text: a first line, the log's key as a C2SP verifier key, and the two notes.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from ..epochs import LabId
from ..errors import Code, EncodingError
from .checkpoint import Checkpoint, LogKey, open_checkpoint
from .notes import SignatureType, decode_base64, key_id, require_key_name

FIRST_LINE: Final = "mandorla/v1 fraud proof\n"
MAX_FRAUD_PROOF: Final = 65_536

_DIVIDER: Final = "\n=====\n\n"
_KEY: Final = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class FraudProof:
    """A log's key, and two notes with its signature."""

    log: LogKey
    one: bytes
    other: bytes

    def encode(self) -> bytes:
        """Return the content of the file."""
        head = f"{FIRST_LINE}{verifier_key(self.log)}\n\n"
        return head.encode() + self.one + _DIVIDER.encode() + self.other

    @classmethod
    def decode(cls, content: bytes) -> FraudProof:
        """Parse the content of a file, and verify the proof.

        Raises EncodingError or CryptoError: BAD_CHECKPOINT if the file is malformed or proves no fraud.
        """
        head, found, notes = content.partition(b"\n\n")
        one, between, other = notes.partition(_DIVIDER.encode())
        key = head.removeprefix(FIRST_LINE.encode())
        if not found or not between or head == key or len(content) > MAX_FRAUD_PROOF:
            raise EncodingError(Code.BAD_CHECKPOINT, "the file is not a fraud proof")
        try:
            log = _log_key(key.decode())
        except UnicodeDecodeError:
            raise EncodingError(Code.BAD_CHECKPOINT, "a verifier key is not UTF-8") from None
        proof = cls(log, one, other)
        proof.require_valid()
        return proof

    def require_valid(self) -> tuple[Checkpoint, Checkpoint]:
        """Verify the proof; return the two checkpoints, which have one size and two roots.

        Raises EncodingError or CryptoError: BAD_CHECKPOINT if they prove no fraud.
        """
        one, other = (open_checkpoint(note, self.log) for note in (self.one, self.other))
        if one.size != other.size or one.root == other.root:
            raise EncodingError(Code.BAD_CHECKPOINT, "the checkpoints do not contradict each other")
        return one, other


def verifier_key(log: LogKey) -> str:
    """Return a log's key as text: name, key id and key, with plus signs between them (C2SP signed-note)."""
    identifier = key_id(log.origin, SignatureType.ED25519, log.lab).hex()
    material = base64.b64encode(bytes([SignatureType.ED25519]) + log.lab).decode("ascii")
    return f"{log.origin}+{identifier}+{material}"


def _log_key(written: str) -> LogKey:
    parts = _KEY.fullmatch(written)
    if parts is None:
        raise EncodingError(Code.BAD_CHECKPOINT, "a verifier key is malformed")
    require_key_name(parts[1])
    material = decode_base64(parts[3])
    log = LogKey(parts[1], LabId(material[1:]))
    if len(material) != 33 or verifier_key(log) != written:
        raise EncodingError(Code.BAD_CHECKPOINT, "a verifier key is malformed")
    return log
