"""The engine: the OPRF over whole batches, held in contiguous buffers (SPEC 5.5).

A batch of n tokens is n * 32 bytes; a batch of n elements is n * 32 bytes; a batch of n outputs is n * 64
bytes. No Python object per element crosses this interface, so that an engine in another language can take
the buffers as they are. Every engine gives the same bytes for the same arguments.
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
    """Elements that an engine has decoded, in whatever form it keeps them."""

    def __bytes__(self) -> bytes:
        """Return their encoding."""
        ...


ElementBatch: TypeAlias = bytes | DecodedElements
"""A batch of elements: encoded, or as the engine that is given it has decoded it before."""


class Engine(Protocol):
    """ElementBatch operations of mode VOPRF."""

    @property
    def name(self) -> str:
        """How `mandorla doctor` and the benchmarks call this engine."""
        ...

    @property
    def releases_gil(self) -> bool:
        """Whether threads suffice to use every core."""
        ...

    def derive_key_pair(self, seed: bytes, info: bytes) -> KeyPair:
        """Derive an epoch's key pair from its 32-byte seed."""
        ...

    def blind(self, tokens: bytes, uniform: bytes) -> tuple[bytes, ElementBatch]:
        """Blind n tokens with n * 64 uniform bytes; return n blinding scalars and n blinded elements."""
        ...

    def decode_elements(self, elements: bytes) -> ElementBatch:
        """Decode elements strictly, and return them to be given to this engine in the place of the bytes.

        Raises CryptoError(BAD_ELEMENT) unless all elements are canonical and none is the identity.
        """
        ...

    def evaluate_and_prove(self, keys: KeyPair, blinded: ElementBatch, nonce: bytes) -> tuple[bytes, bytes]:
        """Evaluate n blinded elements; return n evaluated elements and one proof.

        `nonce` is 64 secret uniform bytes, never used with another batch.
        """
        ...

    def verify(self, public_key: Element, blinded: bytes, evaluated: bytes, proof: bytes) -> None:
        """Verify the proof of n blinded and evaluated elements, as an auditor does.

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
        """Verify the batch's proof, unblind, and return n outputs.

        Raises CryptoError: BAD_ELEMENT, BAD_LENGTH, BAD_SCALAR or BAD_PROOF.
        """
        ...

    def evaluate(self, keys: KeyPair, tokens: bytes) -> bytes:
        """Return the outputs of the holder's own n tokens."""
        ...


def split(buffer: bytes, size: int) -> Iterator[bytes]:
    """Cut a buffer into values of `size` bytes.

    Raises CryptoError(BAD_LENGTH) unless the buffer is a whole number of values.
    """
    if len(buffer) % size:
        raise CryptoError(Code.BAD_LENGTH, "a buffer is not a whole number of values")
    return map(itemgetter(0), struct.iter_unpack(f"{size}s", buffer))
