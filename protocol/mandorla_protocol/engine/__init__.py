"""Engines: the OPRF over whole batches in contiguous buffers (SPEC 5.5).

A batch of n tokens or n elements is n * 32 bytes, a batch of n outputs n * 64 bytes. There is no Python
object for each element, so an engine in another language takes the buffers as they are. All engines return
the same bytes, and raise the same codes, for the same arguments. `loader` chooses between `portable` and
`native`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from operator import itemgetter
from typing import Final, Protocol, TypeAlias

from ..errors import Code, CryptoError
from ..group import Element
from ..oprf import KeyPair

TOKEN_SIZE: Final = 32
UNIFORM_SIZE: Final = 64
OUTPUT_SIZE: Final = 64


class DecodedElements(Protocol):
    """A batch of elements that an engine decoded, in the engine's own form."""

    def __bytes__(self) -> bytes:
        """Return the elements' encoding, 32 bytes each."""
        ...


ElementBatch: TypeAlias = bytes | DecodedElements
"""A batch of elements: their encoding, or the result of an engine's `decode_elements` or `blind`."""


class Engine(Protocol):
    """The operations of mode VOPRF on batches."""

    @property
    def name(self) -> str:
        """The engine's name, as configuration, `mandorla doctor` and the benchmarks write it."""
        ...

    @property
    def releases_gil(self) -> bool:
        """Whether threads of one process can use all cores at once."""
        ...

    def derive_key_pair(self, seed: bytes, info: bytes) -> KeyPair:
        """Derive a key epoch's key pair from its seed of 32 bytes (SPEC 5.2)."""
        ...

    def blind(self, tokens: bytes, uniform: bytes) -> tuple[bytes, ElementBatch]:
        """Blind n tokens with n * 64 uniform bytes; return n blinds of 32 bytes and n blinded elements.

        Raises CryptoError: BAD_LENGTH unless there are 64 uniform bytes for each token.
        """
        ...

    def decode_elements(self, elements: bytes) -> ElementBatch:
        """Decode n elements strictly; return a batch that this engine need not decode again.

        Raises CryptoError: BAD_LENGTH for a cut element, BAD_ELEMENT if an element is not canonical or is the
        identity.
        """
        ...

    def evaluate_and_prove(self, keys: KeyPair, blinded: ElementBatch, nonce: bytes) -> tuple[bytes, bytes]:
        """Evaluate n blinded elements; return n evaluated elements and one proof of 64 bytes.

        `nonce` is 64 secret uniform bytes that are never used with another batch (`epochs.proof_nonce`).

        Raises CryptoError: BAD_ELEMENT, BAD_LENGTH or BAD_SCALAR.
        """
        ...

    def verify(self, public_key: Element, blinded: bytes, evaluated: bytes, proof: bytes) -> None:
        """Verify the proof of n blinded and n evaluated elements, as an auditor does.

        Raises CryptoError: BAD_ELEMENT, BAD_LENGTH, BAD_SCALAR or BAD_PROOF.
        """
        ...

    def verify_and_finalize(
        self,
        public_key: Element,
        tokens: bytes,
        blinds: bytes,
        blinded: ElementBatch,
        evaluated: bytes,
        proof: bytes,
    ) -> bytes:
        """Verify the batch's proof, unblind n evaluated elements, and return n outputs of 64 bytes.

        Raises CryptoError: BAD_ELEMENT, BAD_LENGTH, BAD_SCALAR or BAD_PROOF.
        """
        ...

    def evaluate(self, keys: KeyPair, tokens: bytes) -> bytes:
        """Return n outputs of 64 bytes for the holder's own n tokens."""
        ...


def split(buffer: bytes, size: int) -> Iterator[bytes]:
    """Yield a buffer's values of `size` bytes each.

    Raises CryptoError: BAD_LENGTH unless the buffer holds a whole number of values.
    """
    if len(buffer) % size:
        raise CryptoError(Code.BAD_LENGTH, "a buffer does not hold a whole number of values")
    return map(itemgetter(0), struct.iter_unpack(f"{size}s", buffer))
