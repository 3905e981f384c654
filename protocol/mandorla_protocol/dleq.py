"""Batched proofs that two discrete logarithms are equal (RFC 9497 section 2.2, SPEC 5.4).

The prover shows that each evaluated element is the secret key times its blinded element, with one proof of
two scalars for the whole batch. The secret key is that of the public key.

Both sides combine the batch to two composites with random weights: M, the sum of d_i * blinded[i], and Z, the
sum of d_i * evaluated[i]. The proof is about M and Z alone, so it is sound only if the prover cannot choose
false elements whose weighted errors sum to zero. In RFC 9497 each weight depends on the public key and its
own pair only: a prover can compute the weight of each false pair by itself and search for errors that cancel
(about 2**31 hashes for 16,384 pairs). Here each weight depends on the whole batch, so a change of one element
changes all weights (SPEC 5.4). `tests/protocol/test_dleq_search.py` runs the search in a small group.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from .errors import Code, CryptoError
from .group import Element, Group, Scalar

MAX_BATCH: Final = 65_535
"""The most elements in a batch: RFC 9497 section 2.2.1 writes an index in two bytes."""

SeedFunction: TypeAlias = Callable[[Group, bytes, Element, Sequence[Element], Sequence[Element]], bytes]
"""Returns the seed of a batch's weights, given group, context, public key, blinded and evaluated elements."""


def batch_seed(
    group: Group,
    context: bytes,
    public_key: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
) -> bytes:
    """Return the seed of the weights: a hash of the public key and the whole batch (SPEC 5.4)."""
    # Elements have a fixed size, so the number of pairs shows where each element stands.
    batch = len(blinded).to_bytes(4, "big") + b"".join(blinded) + b"".join(evaluated)
    return group.hash(_prefixed(public_key) + _prefixed(b"Batch-" + context) + batch)


def rfc_seed(
    group: Group,
    context: bytes,
    public_key: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
) -> bytes:
    """Return the seed of RFC 9497 section 2.2.1, a hash of the public key alone; for the RFC's vectors."""
    return group.hash(_prefixed(public_key) + _prefixed(b"Seed-" + context))


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof: the challenge c and the response s."""

    challenge: Scalar
    response: Scalar

    def encode(self) -> bytes:
        """Serialise as c || s (RFC 9497 section 3.3.2)."""
        return self.challenge + self.response

    @classmethod
    def decode(cls, encoded: bytes, group: Group) -> Proof:
        """Parse c || s strictly (RFC 9497 section 3.3.2).

        Raises CryptoError: BAD_LENGTH for another length than two scalars, BAD_SCALAR for an unreduced
        scalar.
        """
        size = group.scalar_size
        if len(encoded) != 2 * size:
            raise CryptoError(Code.BAD_LENGTH, "a proof is two scalars")
        return cls(group.decode_scalar(encoded[:size]), group.decode_scalar(encoded[size:]))


def prove(
    group: Group,
    context: bytes,
    secret: Scalar,
    public_key: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
    nonce: Scalar,
    seed: SeedFunction = batch_seed,
) -> Proof:
    """Prove that evaluated[i] = secret * blinded[i] for all i, and public_key = secret * generator.

    `nonce` is secret, uniform, and never used for another statement: two proofs with one nonce reveal the
    key.

    Raises CryptoError: BAD_LENGTH for an empty batch or one that is too large.

    Source: RFC 9497 section 2.2.1, GenerateProof with ComputeCompositesFast, except for the seed (SPEC 5.4).
    """
    require_batch(len(blinded), len(evaluated))
    weight_seed = seed(group, context, public_key, blinded, evaluated)
    m = _combine(group, blinded, _weights(group, context, weight_seed, blinded, evaluated))
    # The prover knows the key, so one multiplication gives Z (ComputeCompositesFast).
    z = group.multiply(secret, m)
    t2 = group.multiply_generator(nonce)
    t3 = group.multiply(nonce, m)
    challenge = _challenge(group, context, public_key, m, z, t2, t3)
    return Proof(challenge, group.scalar_multiply_subtract(nonce, challenge, secret))


def verify(
    group: Group,
    context: bytes,
    public_key: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
    proof: Proof,
    seed: SeedFunction = batch_seed,
) -> None:
    """Verify a proof against the public key and the batch, in the batch's order.

    Raises CryptoError: BAD_PROOF if the proof does not hold, BAD_LENGTH for batches that no proof covers.

    Source: RFC 9497 section 2.2.2, VerifyProof, except for the seed (SPEC 5.4).
    """
    require_batch(len(blinded), len(evaluated))
    weight_seed = seed(group, context, public_key, blinded, evaluated)
    weights = _weights(group, context, weight_seed, blinded, evaluated)
    m = _combine(group, blinded, weights)
    z = _combine(group, evaluated, weights)
    t2 = group.add(group.multiply_generator(proof.response), group.multiply(proof.challenge, public_key))
    t3 = group.add(group.multiply(proof.response, m), group.multiply(proof.challenge, z))
    expected = _challenge(group, context, public_key, m, z, t2, t3)
    if not hmac.compare_digest(expected, proof.challenge):
        raise CryptoError(Code.BAD_PROOF)


def require_batch(blinded: int, evaluated: int) -> None:
    """Check the numbers of blinded and evaluated elements.

    Raises CryptoError: BAD_LENGTH if they differ, or if one proof cannot cover so many.
    """
    if blinded != evaluated:
        raise CryptoError(Code.BAD_LENGTH, "a batch has as many evaluated as blinded elements")
    if not 1 <= blinded <= MAX_BATCH:
        raise CryptoError(Code.BAD_LENGTH, f"a batch has 1 to {MAX_BATCH} elements")


def _prefixed(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _weights(
    group: Group, context: bytes, seed: bytes, blinded: Sequence[Element], evaluated: Sequence[Element]
) -> list[Scalar]:
    """Return the batch's weights d_i, which are public (RFC 9497 section 2.2.1, ComputeComposites)."""
    dst = b"HashToScalar-" + context
    return [
        group.hash_to_scalar(
            _prefixed(seed) + index.to_bytes(2, "big") + _prefixed(c) + _prefixed(d) + b"Composite",
            dst,
        )
        for index, (c, d) in enumerate(zip(blinded, evaluated, strict=True))
    ]


def _combine(group: Group, elements: Sequence[Element], weights: Sequence[Scalar]) -> bytes:
    """Return the sum of weights[i] * elements[i]."""
    total = group.identity
    for weight, element in zip(weights, elements, strict=True):
        total = group.add(total, group.multiply(weight, element))
    return total


def _challenge(
    group: Group, context: bytes, public_key: Element, m: bytes, z: bytes, t2: bytes, t3: bytes
) -> Scalar:
    transcript = b"".join(_prefixed(value) for value in (public_key, m, z, t2, t3)) + b"Challenge"
    return group.hash_to_scalar(transcript, b"HashToScalar-" + context)
