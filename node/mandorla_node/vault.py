"""Sealing at rest: OPRF seeds are stored encrypted under a key that lives outside the store."""

from __future__ import annotations

from nacl.exceptions import CryptoError as NaclError
from nacl.secret import SecretBox
from nacl.utils import random

from mandorla_protocol.errors import Code, NodeError


class Vault:
    """Seal and open secrets under a 32-byte key (XSalsa20-Poly1305, random nonces)."""

    def __init__(self, key: bytes) -> None:
        self._box = SecretBox(key)

    def seal(self, secret: bytes) -> bytes:
        """Encrypt a secret."""
        return bytes(self._box.encrypt(secret))

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a secret; raises NodeError(BAD_HOME) if the key is not the one that sealed it."""
        try:
            return self._box.decrypt(sealed)
        except NaclError:
            raise NodeError(Code.BAD_HOME, "the store was sealed under another key") from None


def new_key() -> bytes:
    """Draw a vault key."""
    return random(SecretBox.KEY_SIZE)
