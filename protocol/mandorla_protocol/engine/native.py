"""The engine in Rust (`protocol/native`): the bytes and errors of the portable engine, without the GIL."""

from __future__ import annotations

from typing import Final

from .. import _native
from ..group import Element, Scalar
from ..native_extension import typed_errors
from ..oprf import KeyPair
from . import ElementBatch


class NativeEngine:
    """The engine over ristretto255 by curve25519-dalek. `Engine` says what the methods do.

    `threads` is the number of threads for one batch; 0 means one for each core.
    """

    name: Final = "native"
    releases_gil: Final = True

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def derive_key_pair(self, seed: bytes, info: bytes) -> KeyPair:
        """Derive a key epoch's key pair from its seed of 32 bytes (SPEC 5.2)."""
        with typed_errors():
            secret, public = _native.derive_key_pair(seed, info)
        return KeyPair(Scalar(secret), Element(public))

    def blind(self, tokens: bytes, uniform: bytes) -> tuple[bytes, ElementBatch]:
        """Blind n tokens with n * 64 uniform bytes; return n blinds and n blinded elements (SPEC 5.3)."""
        with typed_errors():
            return _native.blind(tokens, uniform, self._threads)

    def decode_elements(self, elements: bytes) -> ElementBatch:
        """Decode n elements strictly; later calls use the decompressed points."""
        with typed_errors():
            return _native.decode(elements, self._threads)

    def evaluate_and_prove(self, keys: KeyPair, blinded: ElementBatch, nonce: bytes) -> tuple[bytes, bytes]:
        """Evaluate n blinded elements; return n evaluated elements and one proof (RFC 9497 section 3.3.2)."""
        with typed_errors():
            return _native.evaluate_and_prove(keys.secret, keys.public, _own(blinded), nonce, self._threads)

    def verify(self, public_key: Element, blinded: bytes, evaluated: bytes, proof: bytes) -> None:
        """Verify a batch's proof (RFC 9497 section 2.2.2)."""
        with typed_errors():
            _native.verify(public_key, blinded, evaluated, proof, self._threads)

    def verify_and_finalize(
        self,
        public_key: Element,
        tokens: bytes,
        blinds: bytes,
        blinded: ElementBatch,
        evaluated: bytes,
        proof: bytes,
    ) -> bytes:
        """Verify the batch's proof, unblind, and return n outputs (RFC 9497 section 3.3.2)."""
        with typed_errors():
            return _native.verify_and_finalize(
                public_key, tokens, blinds, _own(blinded), evaluated, proof, self._threads
            )

    def evaluate(self, keys: KeyPair, tokens: bytes) -> bytes:
        """Return n outputs for the holder's own n tokens (RFC 9497 section 3.3.1)."""
        with typed_errors():
            return _native.evaluate(keys.secret, tokens, self._threads)


def _own(batch: ElementBatch) -> bytes | _native.Elements:
    """Return this engine's decoded batch as it is, and the encoding of any other."""
    return batch if isinstance(batch, _native.Elements) else bytes(batch)
