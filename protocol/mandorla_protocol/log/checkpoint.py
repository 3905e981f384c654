"""Checkpoints: states of a log that its lab signs and its peers cosign (SPEC 18.3).

A checkpoint's text has three lines: the origin, the number of entries, and the root in base64 (C2SP
tlog-checkpoint). A cosignature (C2SP tlog-cosignature) states a time, and that at this time the checkpoint
was the largest that the cosigner knew of this log, and extended all earlier ones.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .. import signatures
from ..epochs import LabId
from ..errors import Code, CryptoError, EncodingError, MandorlaError
from ..merkle import HASH_SIZE
from .notes import Note, NoteSignature, SignatureType, decode_base64, key_id, require_key_name

COSIGNATURE_SIZE: Final = 8 + signatures.SIGNATURE_SIZE

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_MAX_TIME: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: its origin, its number of entries, and the root over them (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that the lab signs, with its last newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Parse the text of a checkpoint without extension lines.

        Raises EncodingError: BAD_CHECKPOINT for any other text.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not _SIZE.fullmatch(lines[1]):
            raise EncodingError(Code.BAD_CHECKPOINT, "a checkpoint does not have the three lines")
        require_key_name(lines[0])
        root = decode_base64(lines[2])
        if len(root) != HASH_SIZE:
            raise EncodingError(Code.BAD_CHECKPOINT, "a root does not have 32 bytes")
        return cls(lines[0], int(lines[1]), root)


@dataclass(frozen=True, slots=True)
class LogKey:
    """The name and the key of a log or of a cosigner. A lab's key has the name of its log's origin."""

    origin: str
    lab: LabId


def sign_checkpoint(key: Ed25519PrivateKey, checkpoint: Checkpoint) -> bytes:
    """Return the note of a checkpoint, signed by its log's lab (C2SP tlog-checkpoint)."""
    text = checkpoint.text()
    identifier = key_id(checkpoint.origin, SignatureType.ED25519, signatures.lab_id(key))
    return Note(text, (NoteSignature(checkpoint.origin, identifier, key.sign(text.encode())),)).encode()


def open_checkpoint(note: bytes, log: LogKey) -> Checkpoint:
    """Parse the note of a log's checkpoint, and verify the signature of the log. Ignore other signatures.

    Raises EncodingError: BAD_CHECKPOINT if the note is malformed. Raises CryptoError: BAD_CHECKPOINT if it is
    the note of another log, or lacks the log's one valid signature.
    """
    parsed = Note.decode(note)
    checkpoint = Checkpoint.parse(parsed.text)
    if checkpoint.origin != log.origin:
        raise CryptoError(Code.BAD_CHECKPOINT, "the checkpoint belongs to another log")
    found = parsed.signatures_by(log.origin, key_id(log.origin, SignatureType.ED25519, log.lab))
    if len(found) != 1:
        raise CryptoError(
            Code.BAD_CHECKPOINT, "the checkpoint does not have exactly one signature of its log"
        )
    _verify(log.lab, parsed.text.encode(), found[0])
    return checkpoint


def cosign(key: Ed25519PrivateKey, checkpoint: Checkpoint, now: int) -> bytes:
    """Return a cosignature (C2SP tlog-cosignature): `now` in Unix seconds (8 bytes), the signature (64)."""
    signature = key.sign(_cosigned(checkpoint.text(), now))
    return now.to_bytes(8, "big") + signature


def verify_cosignature(cosigner: LabId, checkpoint: Checkpoint, cosignature: bytes) -> int:
    """Verify a cosignature; return its time in Unix seconds.

    Raises CryptoError: BAD_CHECKPOINT if it does not verify.
    """
    if len(cosignature) != COSIGNATURE_SIZE:
        raise CryptoError(Code.BAD_CHECKPOINT, "a cosignature does not have 72 bytes")
    at = int.from_bytes(cosignature[:8], "big")
    if at > _MAX_TIME:
        raise CryptoError(Code.BAD_CHECKPOINT, "a cosignature's time is out of range")
    _verify(cosigner, _cosigned(checkpoint.text(), at), cosignature[8:])
    return at


def by_log_alone(note: bytes, log: LogKey) -> bytes:
    """Return a note with its log's signature only."""
    parsed, identifier = Note.decode(note), key_id(log.origin, SignatureType.ED25519, log.lab)
    kept = tuple(one for one in parsed.signatures if (one.name, one.key_id) == (log.origin, identifier))
    return replace(parsed, signatures=kept).encode()


def with_cosignatures(note: bytes, cosignatures: list[tuple[LogKey, bytes]]) -> bytes:
    """Return a note with lines for more cosignatures."""
    parsed = Note.decode(note)
    lines = tuple(
        NoteSignature(key.origin, key_id(key.origin, SignatureType.COSIGNATURE, key.lab), cosignature)
        for key, cosignature in cosignatures
    )
    return replace(parsed, signatures=parsed.signatures + lines).encode()


def cosignatures_by(note: bytes, cosigner: LogKey) -> list[bytes]:
    """Return the cosignatures of a cosigner in a note, unverified."""
    return Note.decode(note).signatures_by(
        cosigner.origin, key_id(cosigner.origin, SignatureType.COSIGNATURE, cosigner.lab)
    )


def _cosigned(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _verify(signer: LabId, message: bytes, signature: bytes) -> None:
    try:
        signatures.verify(signer, message, signature)
    except MandorlaError:
        raise CryptoError(Code.BAD_CHECKPOINT, "a signature on a checkpoint does not verify") from None
