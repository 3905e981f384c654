"""Encryption at rest: the store's seeds and labels are encrypted under a key that is kept outside the store.

The vault key is 32 uniform bytes. It encrypts seeds directly; each other use derives its own key by
HKDF-SHA-512-Expand.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from nacl.exceptions import CryptoError as NaclError
from nacl.secret import SecretBox
from nacl.utils import random

from mandorla_protocol.errors import Code, NodeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY_SIZE: Final = SecretBox.KEY_SIZE
ROW_OVERHEAD: Final = 28
"""The bytes that sealing adds to a row: a nonce of 12 and a MAC of 16."""
MASKED_SIZE: Final = 32
"""Bytes of a masked value."""

_NONCE: Final = 12
_BLOCK: Final = 64
_POSITIONS: Final = 1 << 32
_GAP: Final = 12
"""Generating this many unused blocks takes as long as a reset of the counter, which skips them."""


class Vault:
    """Seal and open secrets under a 32-byte key.

    Single secrets, such as seeds, are sealed with XSalsa20-Poly1305, and rows, in millions, with
    ChaCha20-Poly1305. Label keys are still more numerous, and are masked.
    """

    def __init__(self, key: bytes) -> None:
        self._box = SecretBox(key)
        self._key = key
        self._rows = ChaCha20Poly1305(self._derive(b"mandorla vault rows"))

    def seal(self, secret: bytes) -> bytes:
        """Encrypt a secret."""
        return bytes(self._box.encrypt(secret))

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a secret; raises NodeError(BAD_HOME) if another key sealed it."""
        try:
            return self._box.decrypt(sealed)
        except NaclError:
            raise NodeError(Code.BAD_HOME, "the store was sealed under another key") from None

    def seal_rows(self, rows: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Encrypt pairs of a short value and its associated data, such as the key of its row.

        A result is nonce, ciphertext and MAC: ROW_OVERHEAD bytes longer than the value. Nonces are random, so
        a row can be sealed again: the probability of a repeated nonce among 2**32 is below 2**-32.
        """
        encrypt = self._rows.encrypt
        nonces = os.urandom(_NONCE * len(rows))
        sealed = []
        for start, (value, associated) in zip(range(0, len(nonces), _NONCE), rows, strict=True):
            nonce = nonces[start : start + _NONCE]
            sealed.append(nonce + encrypt(nonce, value, associated))
        return sealed

    def open_rows(self, rows: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Decrypt pairs of a result of `seal_rows` and its associated data.

        Raises NodeError(BAD_HOME) if another key sealed a row, its associated data differs, or it was
        altered.
        """
        decrypt = self._rows.decrypt
        try:
            return [decrypt(sealed[:_NONCE], sealed[_NONCE:], associated) for sealed, associated in rows]
        except (InvalidTag, ValueError):
            detail = "a row of the store was sealed under another key, or was altered"
            raise NodeError(Code.BAD_HOME, detail) from None

    def mask(self, context: bytes, positions: NDArray[np.int64], values: bytes) -> bytes:
        """Mask joined values of MASKED_SIZE bytes each, or unmask them: the function is its own inverse.

        The value at a position is XORed with the first half of block `position` of a ChaCha20 keystream,
        whose key derives from the context. Two different values under one mask would reveal their XOR. So
        this is safe only for values that the context and the position determine, such as the label key of an
        indicator in a key epoch. Masking does not authenticate: a changed bit of a masked value changes the
        same bit of the value.

        Positions ascend and are below 2**32. Memory: up to 2 KiB for each position.

        Raises NodeError: STORE_FAILED for a position out of range, INTERNAL if positions do not ascend or the
        number of values differs.
        """
        import numpy as np  # noqa: PLC0415 - slow to load, and most commands mask nothing

        count = len(positions)
        if len(values) != count * MASKED_SIZE:
            raise NodeError(Code.INTERNAL, "a mask takes one value for each position")
        if not count:
            return b""
        first, last = int(positions[0]), int(positions[-1])
        if np.any(positions[1:] < positions[:-1]):
            raise NodeError(Code.INTERNAL, "the positions of a mask ascend")
        if first < 0 or last >= _POSITIONS:
            raise NodeError(Code.STORE_FAILED, "an id is out of the range in which keys are masked")
        info = b"mandorla vault mask" + len(context).to_bytes(4, "big") + context
        stream = Cipher(ChaCha20(self._derive(info), _counter(first)), mode=None).encryptor()
        starts, lengths = _runs(positions)
        parts = []
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            stream.reset_nonce(_counter(start))
            parts.append(stream.update(bytes(length * _BLOCK)))
        blocks = np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, _BLOCK)
        # For each position: its run, and its block's index among the generated blocks.
        run = np.searchsorted(starts, positions, side="right") - 1
        places = positions - starts[run] + (np.cumsum(lengths) - lengths)[run]
        mask = blocks[places, :MASKED_SIZE].reshape(-1)
        return (mask ^ np.frombuffer(values, dtype=np.uint8)).tobytes()

    def _derive(self, info: bytes) -> bytes:
        return HKDFExpand(algorithm=SHA512(), length=KEY_SIZE, info=info).derive(self._key)


class LockedVault(Vault):
    """The vault of a command that has no access to the home's keys: every operation fails."""

    def __init__(self) -> None:
        """Hold no key."""

    def seal(self, secret: bytes) -> bytes:
        """Raise NodeError(BAD_HOME)."""
        raise _locked()

    def open(self, sealed: bytes) -> bytes:
        """Raise NodeError(BAD_HOME)."""
        raise _locked()

    def seal_rows(self, rows: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Raise NodeError(BAD_HOME)."""
        raise _locked()

    def open_rows(self, rows: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Raise NodeError(BAD_HOME)."""
        raise _locked()

    def mask(self, context: bytes, positions: NDArray[np.int64], values: bytes) -> bytes:
        """Raise NodeError(BAD_HOME)."""
        raise _locked()


def new_key() -> bytes:
    """Draw a vault key."""
    return random(KEY_SIZE)


def _locked() -> NodeError:
    return NodeError(Code.BAD_HOME, "the store was opened without the home's keys")


def _counter(position: int) -> bytes:
    """Return the 16 bytes that the library calls a nonce: a counter of four bytes, and a nonce of zeros.

    Each context has its own key, so the nonce can be constant.
    """
    return position.to_bytes(4, "little") + bytes(12)


def _runs(positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first block and the length of each run of blocks that are generated without a reset."""
    import numpy as np  # noqa: PLC0415 - as in `mask`

    cuts = np.flatnonzero(np.diff(positions) > _GAP)
    starts = positions[np.concatenate(([0], cuts + 1))]
    ends = positions[np.concatenate((cuts, [len(positions) - 1]))]
    return starts, ends - starts + 1
