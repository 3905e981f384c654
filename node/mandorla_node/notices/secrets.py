"""The secrets that webhooks are signed with, as Standard Webhooks 1.0 writes them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from mandorla_protocol.errors import Code, NodeError

_PREFIX: Final = "whsec_"
_NEW: Final = 32
_SHORTEST: Final = 24
_LONGEST: Final = 64
_MOST: Final = 4
_LARGEST_FILE: Final = 4096


def load_secrets(path: Path) -> list[bytes]:
    """Read secrets: one a line, the one in use first; each signs, so that a receiver can change over.

    Raises NodeError(BAD_CONFIG) that says what is wrong, and never shows a secret.
    """
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise NodeError(Code.BAD_CONFIG, f"{path}: everybody may read or change it; chmod o-rwx it")
        with path.open("rb") as file:
            lines = file.read(_LARGEST_FILE + 1).split()
    except OSError as error:
        raise NodeError(Code.BAD_CONFIG, f"{path}: {os.strerror(error.errno or 0)}") from None
    if not 1 <= len(lines) <= _MOST:
        raise NodeError(Code.BAD_CONFIG, f"{path}: it holds no secret, or more than {_MOST}")
    return [_decoded(path, line) for line in lines]


def make_secret(path: Path) -> None:
    """Write a new secret, unless there is a file; raises NodeError(BAD_CONFIG) if the disk refuses."""
    content = _PREFIX + base64.b64encode(secrets.token_bytes(_NEW)).decode() + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise NodeError(Code.BAD_CONFIG, f"{path}: {os.strerror(error.errno or 0)}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def signature(keys: list[bytes], notice_id: str, timestamp: int, document: bytes) -> str:
    """Sign a notice: HMAC-SHA-256 of its id, the time of the attempt and the document, by each key."""
    signed = f"{notice_id}.{timestamp}.".encode() + document
    macs = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def _decoded(path: Path, line: bytes) -> bytes:
    text = line.removeprefix(_PREFIX.encode())
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error:
        secret = b""
    if text == line or not _SHORTEST <= len(secret) <= _LONGEST:
        raise NodeError(
            Code.BAD_CONFIG,
            f"{path}: a secret is {_PREFIX} and {_SHORTEST} to {_LONGEST} random bytes in base64",
        )
    return secret
