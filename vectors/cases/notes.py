"""Signed notes, checkpoints and cosignatures (C2SP, SPEC 18.3), and Merkle proofs (RFC 9162)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

from .example import Lab
from .inputs import Value
from .structures import Fields, join, uint
from .tables import root_of

LOG: Final = 0x01
COSIGNER: Final = 0x04


def base64_of(value: bytes) -> str:
    """Encode bytes in base64 with padding."""
    return base64.b64encode(value).decode("ascii")


def key_id_fields(name: str, kind: int, identity: bytes) -> Fields:
    """Return the fields of the hash whose first four bytes are a key's id."""
    return {"name": name.encode() + b"\n", "type": uint(kind, 1), "key": identity}


def key_id(fields: Fields) -> bytes:
    """Return a key's id."""
    return hashlib.sha256(join(fields)).digest()[:4]


def line(name: str, identifier: bytes, signature: bytes) -> str:
    """Return a signature line."""
    return f"\u2014 {name} {base64_of(identifier + signature)}\n"


def log_line(lab: Lab, signed: bytes) -> str:
    """Return the line of a lab's signature on a checkpoint of its own log."""
    return line(lab.origin, key_id(key_id_fields(lab.origin, LOG, lab.identity)), lab.sign(signed))


def cosigner_line(lab: Lab, cosignature: bytes) -> str:
    """Return the line of a lab's cosignature."""
    return line(lab.origin, key_id(key_id_fields(lab.origin, COSIGNER, lab.identity)), cosignature)


def checkpoint(value: Value) -> Fields:
    """Return the lines of a checkpoint's text."""
    return {
        "origin": f"{value['origin']}\n".encode(),
        "size": f"{value['size']}\n".encode(),
        "root": f"{base64_of(value['root'])}\n".encode(),
    }


def state(lab: Lab, leaves: Sequence[bytes]) -> Value:
    """Return the checkpoint of a lab's log with these leaves."""
    return {"origin": lab.origin, "size": len(leaves), "root": root_of(leaves)}


def note_of(text: str, *lines: str) -> bytes:
    """Return the note of a text and signature lines."""
    return f"{text}\n{''.join(lines)}".encode()


def signed_by(lab: Lab, value: Value) -> bytes:
    """Return the note of a checkpoint that a lab signs."""
    text = join(checkpoint(value))
    return note_of(text.decode(), log_line(lab, text))


def cosigned(value: Value, at: int) -> Fields:
    """Return the lines that a cosignature signs."""
    start: Fields = {'"cosignature/v1"': b"cosignature/v1\n", '"time "': b"time "}
    return start | {"time in decimal": f"{at}\n".encode()} | checkpoint(value)


def cosignature(lab: Lab, value: Value, at: int) -> bytes:
    """Return a cosignature: its time and the signature."""
    return uint(at, 8) + lab.sign(join(cosigned(value, at)))


def verifier_key(lab: Lab, kind: int = LOG) -> str:
    """Return the verifier key of a lab's log."""
    identifier = key_id(key_id_fields(lab.origin, kind, lab.identity)).hex()
    return f"{lab.origin}+{identifier}+{base64_of(uint(kind, 1) + lab.identity)}"


def _split(leaves: Sequence[bytes]) -> int:
    return int(1 << (len(leaves) - 1).bit_length() - 1)


def consistency(old: int, leaves: Sequence[bytes], is_known: bool = True) -> list[bytes]:
    """Prove that a tree extends the tree of its first `old` leaves (RFC 9162 section 2.1.4.1, SUBPROOF)."""
    if old in (0, len(leaves)):
        return [] if is_known else [root_of(leaves)]
    k = _split(leaves)
    if old <= k:
        return [*consistency(old, leaves[:k], is_known), root_of(leaves[k:])]
    return [*consistency(old - k, leaves[k:], False), root_of(leaves[:k])]


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Prove that a tree has a leaf at an index (RFC 9162 section 2.1.3.1, PATH)."""
    if len(leaves) == 1:
        return []
    k = _split(leaves)
    if index < k:
        return [*inclusion(index, leaves[:k]), root_of(leaves[k:])]
    return [*inclusion(index - k, leaves[k:]), root_of(leaves[:k])]
