"""The secrets that sign webhooks, in the form of Standard Webhooks 1.0."""

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

from ..core.files import write_new

_PREFIX: Final = "whsec_"
_NEW_SIZE: Final = 32
_MIN_SIZE: Final = 24
_MAX_SIZE: Final = 64
_MAX_SECRETS: Final = 4
_MAX_FILE_SIZE: Final = 4096


def load_secrets(path: Path) -> list[bytes]:
    """Read the secrets of a file, one on each line, the newest first.

    All of them sign, so that a receiver accepts notices while the lab replaces a secret.

    Raises NodeError(BAD_CONFIG) with the fault, and never with a secret.
    """
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise NodeError(Code.BAD_CONFIG, f"{path}: every user may read or change it; run chmod o-rwx")
        with path.open("rb") as file:
            lines = file.read(_MAX_FILE_SIZE + 1).split()
    except OSError as error:
        raise NodeError(Code.BAD_CONFIG, f"{path}: {os.strerror(error.errno or 0)}") from None
    if not 1 <= len(lines) <= _MAX_SECRETS:
        raise NodeError(Code.BAD_CONFIG, f"{path}: the file has no secret, or more than {_MAX_SECRETS}")
    return [_decoded(path, line) for line in lines]


def make_secret(path: Path) -> None:
    """Write a new secret to a file, unless it exists; raises NodeError(BAD_CONFIG) if the disk refuses."""
    content = _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_SIZE)).decode() + "\n"
    try:
        write_new(path, content.encode("ascii"))
    except FileExistsError:
        return
    except OSError as error:
        raise NodeError(Code.BAD_CONFIG, f"{path}: {os.strerror(error.errno or 0)}") from None


def signature(keys: list[bytes], notice_id: str, timestamp: int, document: bytes) -> str:
    """Return a notice's signatures: HMAC-SHA-256 over id, time of the attempt and document, with each key."""
    signed = f"{notice_id}.{timestamp}.".encode() + document
    macs = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def _decoded(path: Path, line: bytes) -> bytes:
    text = line.removeprefix(_PREFIX.encode())
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error:
        secret = b""
    if text == line or not _MIN_SIZE <= len(secret) <= _MAX_SIZE:
        raise NodeError(
            Code.BAD_CONFIG,
            f"{path}: a secret is {_PREFIX} and {_MIN_SIZE} to {_MAX_SIZE} random bytes in base64",
        )
    return secret
