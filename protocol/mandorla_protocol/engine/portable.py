"""The engine in Python, over any `Group` (SPEC 5.5).

libsodium multiplies by secret scalars in constant time. The Python code around it is not constant-time: it
copies secrets, and compares a blind or a key with zero. SPEC 12.8 lists this.
"""

from __future__ import annotations

from typing import Final

from .. import dleq, oprf
from ..errors import Code, CryptoError
from ..group import Element, Group, Scalar
from ..oprf import KeyPair, Mode
from . import TOKEN_SIZE, UNIFORM_SIZE, ElementBatch, split


class PortableEngine:
    """The engine over any `Group`; without a group, over ristretto255. `Engine` says what the methods do."""

    releases_gil: Final = False

    def __init__(self, group: Group | None = None, seed: dleq.SeedFunction = dleq.batch_seed) -> None:
        self._seed = seed
        self._group: Group = group or _ristretto255()
        self._context = oprf.context_string(Mode.VOPRF, self._group)

    @property
    def name(self) -> str:
        """Return `portable`."""
        return "portable"

    def derive_key_pair(self, seed: bytes, info: bytes) -> KeyPair:
        """Derive a key epoch's key pair from its seed of 32 bytes (SPEC 5.2)."""
        return oprf.derive_key_pair(self._group, Mode.VOPRF, seed, info)

    def blind(self, tokens: bytes, uniform: bytes) -> tuple[bytes, bytes]:
        """Blind n tokens with n * 64 uniform bytes; return n blinds and n blinded elements (SPEC 5.3)."""
        group = self._group
        if len(uniform) // UNIFORM_SIZE != len(tokens) // TOKEN_SIZE:
            raise CryptoError(Code.BAD_LENGTH, "each token needs 64 uniform bytes")
        blinds = [group.random_scalar(u) for u in split(uniform, UNIFORM_SIZE)]
        values = split(tokens, TOKEN_SIZE)
        blinded = [
            oprf.blind_additively(group, Mode.VOPRF, v, b) for v, b in zip(values, blinds, strict=True)
        ]
        return b"".join(blinds), b"".join(blinded)

    def decode_elements(self, elements: bytes) -> ElementBatch:
        """Check that all elements are canonical and none is the identity; return the bytes."""
        self._decode(elements)
        return elements

    def evaluate_and_prove(self, keys: KeyPair, blinded: ElementBatch, nonce: bytes) -> tuple[bytes, bytes]:
        """Evaluate n blinded elements; return n evaluated elements and one proof (RFC 9497 section 3.3.2)."""
        secret = self._decode_nonzero(keys.secret)
        public_key = self._group.decode_element(keys.public)
        elements = self._decode(bytes(blinded))
        evaluated = [oprf.blind_evaluate(self._group, secret, element) for element in elements]
        proof = dleq.prove(
            self._group,
            self._context,
            secret,
            public_key,
            elements,
            evaluated,
            self._group.random_scalar(nonce),
            self._seed,
        )
        return b"".join(evaluated), proof.encode()

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
        group = self._group
        public_key = group.decode_element(public_key)
        count = len(tokens) // TOKEN_SIZE
        if (len(blinds) // group.scalar_size, len(bytes(blinded)) // group.element_size) != (count, count):
            raise CryptoError(Code.BAD_LENGTH, "a batch has as many blinds and blinded elements as tokens")
        elements = self._verified(public_key, bytes(blinded), evaluated, proof)
        values = split(tokens, TOKEN_SIZE)
        scalars = [self._decode_nonzero(blinding) for blinding in split(blinds, group.scalar_size)]
        return b"".join(
            oprf.finalize_additively(group, value, blinding, element, public_key)
            for value, blinding, element in zip(values, scalars, elements, strict=True)
        )

    def verify(self, public_key: Element, blinded: bytes, evaluated: bytes, proof: bytes) -> None:
        """Verify a batch's proof (RFC 9497 section 2.2.2)."""
        self._verified(self._group.decode_element(public_key), blinded, evaluated, proof)

    def _verified(self, public_key: Element, blinded: bytes, evaluated: bytes, proof: bytes) -> list[Element]:
        """Verify a batch's proof; return the decoded evaluated elements."""
        elements = self._decode(evaluated)
        parsed = dleq.Proof.decode(proof, self._group)
        dleq.require_batch(len(blinded) // self._group.element_size, len(elements))
        own = self._decode(blinded)
        dleq.verify(self._group, self._context, public_key, own, elements, parsed, self._seed)
        return elements

    def evaluate(self, keys: KeyPair, tokens: bytes) -> bytes:
        """Return n outputs for the holder's own n tokens (RFC 9497 section 3.3.1)."""
        secret = self._decode_nonzero(keys.secret)
        return b"".join(
            oprf.evaluate(self._group, Mode.VOPRF, secret, value) for value in split(tokens, TOKEN_SIZE)
        )

    def _decode(self, elements: bytes) -> list[Element]:
        return [self._group.decode_element(e) for e in split(elements, self._group.element_size)]

    def _decode_nonzero(self, encoded: bytes) -> Scalar:
        """Decode a key or a blind.

        Raises CryptoError: BAD_SCALAR for zero too. A zero key gives one element for all tokens, and a zero
        blind does not hide the token.
        """
        scalar = self._group.decode_scalar(encoded)
        if not any(scalar):
            raise CryptoError(Code.BAD_SCALAR)
        return scalar


def _ristretto255() -> Group:
    # rbcl unpacks a libsodium of 2.8 MB in each process that imports it. The native engine needs no
    # libsodium.
    from ..group.ristretto255 import Ristretto255  # noqa: PLC0415

    return Ristretto255()
