"""Signed notes: a text and the lines of its signatures (C2SP signed-note, SPEC 18.3).

    mandorla.invalid/lab-a/0f1e...
    17
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — mandorla.invalid/lab-a/0f1e... Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+Z...

A note has one encoding: the parser refuses all other bytes.
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
"""The most bytes in a note."""

MAX_SIGNATURES: Final = 64

_DASH: Final = "\u2014 "
_KEY_ID_SIZE: Final = 4


class SignatureType(IntEnum):
    """The types of signatures that Mandorla reads. Signatures of other types are allowed and ignored."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the key's name, the key's id (4 bytes) and the signature."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and at least one signature."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Return the bytes of the note, as labs store and send it."""
        return f"{self.text}\n{''.join(one.line() for one in self.signatures)}".encode()

    @classmethod
    def decode(cls, encoded: bytes) -> Note:
        """Parse a note.

        Raises EncodingError: BAD_CHECKPOINT for any other bytes.
        """
        if len(encoded) > MAX_NOTE:
            raise EncodingError(Code.BAD_CHECKPOINT, "a note is longer than allowed")
        try:
            content = encoded.decode("utf-8")
        except UnicodeDecodeError:
            raise EncodingError(Code.BAD_CHECKPOINT, "a note is not UTF-8") from None
        text, found, lines = content.rpartition("\n\n")
        if not found or any(character < " " and character != "\n" for character in content):
            raise EncodingError(Code.BAD_CHECKPOINT, "the bytes are not a signed note")
        if not lines.endswith("\n"):
            raise EncodingError(Code.BAD_CHECKPOINT, "a note is cut off")
        signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
        if len(signatures) > MAX_SIGNATURES:
            raise EncodingError(Code.BAD_CHECKPOINT, "a note has more signatures than allowed")
        return cls(text + "\n", signatures)

    def signatures_by(self, name: str, key_id: bytes) -> list[bytes]:
        """Return the signatures of a key, unverified."""
        return [one.signature for one in self.signatures if (one.name, one.key_id) == (name, key_id)]


def key_id(name: str, signature_type: SignatureType, lab: LabId) -> bytes:
    """Return the id of a key and its signature type, 4 bytes (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([signature_type]) + lab).digest()[:_KEY_ID_SIZE]


def require_key_name(name: str) -> None:
    """Check that a text may be a key's name: printable, without space and plus (C2SP signed-note).

    Raises EncodingError: BAD_CHECKPOINT otherwise.
    """
    if not name or not name.isprintable() or "+" in name or any(one.isspace() for one in name):
        raise EncodingError(Code.BAD_CHECKPOINT, "a key's name is not printable, or has a space or a plus")


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
    """Decode canonical standard base64.

    Raises EncodingError: BAD_CHECKPOINT for any other text.
    """
    # Python's decoder ignores unused bits of the last character, so several texts would decode to one value.
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise EncodingError(Code.BAD_CHECKPOINT, "a text is not base64") from None
    if base64.b64encode(content).decode("ascii") != encoded:
        raise EncodingError(Code.BAD_CHECKPOINT, "a text is not canonical base64")
    return content
