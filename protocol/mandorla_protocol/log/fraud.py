"""Fraud proofs: two checkpoints that no one log has (SPEC 18.5), in a file that anyone can verify.

The file is text: a first line, the log's key as C2SP writes it, and the two notes.
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
    """A log's key, and two notes that it signed."""

    log: LogKey
    one: bytes
    other: bytes

    def encode(self) -> bytes:
        """Return the file's content."""
        head = f"{FIRST_LINE}{verifier_key(self.log)}\n\n"
        return head.encode() + self.one + _DIVIDER.encode() + self.other

    @classmethod
    def decode(cls, content: bytes) -> FraudProof:
        """Parse a file, and verify what it says; raises EncodingError or CryptoError(BAD_CHECKPOINT)."""
        head, found, notes = content.partition(b"\n\n")
        one, between, other = notes.partition(_DIVIDER.encode())
        key = head.removeprefix(FIRST_LINE.encode())
        if not found or not between or head == key or len(content) > MAX_FRAUD_PROOF:
            raise EncodingError(Code.BAD_CHECKPOINT, "this is no fraud proof")
        try:
            log = _log_key(key.decode())
        except UnicodeDecodeError:
            raise EncodingError(Code.BAD_CHECKPOINT, "a verifier key is not UTF-8") from None
        proof = cls(log, one, other)
        proof.require_valid()
        return proof

    def require_valid(self) -> tuple[Checkpoint, Checkpoint]:
        """Return the two checkpoints: of one log and size, with two roots, both signed by the log's lab.

        Raises EncodingError or CryptoError(BAD_CHECKPOINT) if they prove nothing.
        """
        one, other = (open_checkpoint(note, self.log) for note in (self.one, self.other))
        if one.size != other.size or one.root == other.root:
            raise EncodingError(Code.BAD_CHECKPOINT, "the checkpoints do not contradict each other")
        return one, other


def verifier_key(log: LogKey) -> str:
    """Write a log's key as C2SP signed-note has it."""
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
