"""Signed notes (C2SP signed-note, SPEC 18.3): a text, and lines that say who signed it.

    mandorla.invalid/lab-a/0f1e...
    17
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — mandorla.invalid/lab-a/0f1e... Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+Z...

A parser takes what a writer writes and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..epochs import LabId
from ..errors import Code, EncodingError

MAX_NOTE: Final = 16_384
"""Bytes in a note at most."""

MAX_SIGNATURES: Final = 64

_DASH: Final = "\u2014 "
_KEY_ID_SIZE: Final = 4


class SignatureType(IntEnum):
    """The types of signature that are read here; all others are passed over."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line: the key's name and id, and what it signed with."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line, with its end."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and at least one signature."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Return the note as it is stored and sent."""
        return f"{self.text}\n{''.join(one.line() for one in self.signatures)}".encode()

    @classmethod
    def decode(cls, encoded: bytes) -> Note:
        """Parse a note; raises EncodingError(BAD_CHECKPOINT) on anything else."""
        if len(encoded) > MAX_NOTE:
            raise EncodingError(Code.BAD_CHECKPOINT, "a note is longer than allowed")
        try:
            content = encoded.decode("utf-8")
        except UnicodeDecodeError:
            raise EncodingError(Code.BAD_CHECKPOINT, "a note is not UTF-8") from None
        text, found, lines = content.rpartition("\n\n")
        if not found or any(character < " " and character != "\n" for character in content):
            raise EncodingError(Code.BAD_CHECKPOINT, "this is no signed note")
        if not lines.endswith("\n"):
            raise EncodingError(Code.BAD_CHECKPOINT, "a note ends too early")
        signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
        if len(signatures) > MAX_SIGNATURES:
            raise EncodingError(Code.BAD_CHECKPOINT, "a note has more signatures than allowed")
        return cls(text + "\n", signatures)

    def signatures_by(self, name: str, key_id: bytes) -> list[bytes]:
        """Return what a key signed with."""
        return [one.signature for one in self.signatures if (one.name, one.key_id) == (name, key_id)]


def key_id(name: str, kind: SignatureType, lab: LabId) -> bytes:
    """Return the four bytes that tell a key and its use from others of the name."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + lab).digest()[:_KEY_ID_SIZE]


def require_key_name(name: str) -> None:
    """Raise EncodingError(BAD_CHECKPOINT) unless a text can name a key: printable, no space, no plus."""
    if not name or not name.isprintable() or "+" in name or any(one.isspace() for one in name):
        raise EncodingError(Code.BAD_CHECKPOINT, "a key's name is printable, without space or plus")


def _signature(line: str) -> NoteSignature:
    name, found, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not found:
        raise EncodingError(Code.BAD_CHECKPOINT, "a signature line is malformed")
    require_key_name(name)
    content = decode_base64(encoded)
    if len(content) <= _KEY_ID_SIZE:
        raise EncodingError(Code.BAD_CHECKPOINT, "a signature is too short")
    return NoteSignature(name, content[:_KEY_ID_SIZE], content[_KEY_ID_SIZE:])


def decode_base64(encoded: str) -> bytes:
    """Decode standard base64 as it is written, and in no other way; raises EncodingError(BAD_CHECKPOINT)."""
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise EncodingError(Code.BAD_CHECKPOINT, "bad base64") from None
    if base64.b64encode(content).decode("ascii") != encoded:
        raise EncodingError(Code.BAD_CHECKPOINT, "base64 that no encoder writes")
    return content
