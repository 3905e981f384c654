"""The oblivious pseudorandom function (RFC 9497 sections 3.2 and 3.3, SPEC 5).

    querier                                  holder
    -------                                  ------
    blind(input) -> blind, blinded
                      -- blinded -->
                                             blind_evaluate(secret, blinded) -> evaluated
                                             dleq.prove(...)                 -> proof
                 <-- evaluated, proof --
    dleq.verify(public_key, ..., proof)
    finalize(input, blind, evaluated)
      -> output                              evaluate(secret, input) -> the same output

Functions have the RFC's names. Mandorla uses mode VOPRF; mode OPRF exists for the RFC's vectors. A querier
may blind by adding instead of multiplying, with `blind_additively` and `finalize_additively` instead of
`blind` and `finalize`. This costs less and gives the same output.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .errors import Code, CryptoError
from .group import Element, Group, Scalar


class Mode(IntEnum):
    """The modes of RFC 9497 section 3.1 that are implemented."""

    OPRF = 0x00
    VOPRF = 0x01


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A holder's OPRF key pair: the secret scalar and the public element."""

    secret: Scalar
    public: Element

    def __repr__(self) -> str:
        """Show the public key only, so that no log or traceback holds the secret."""
        return f"KeyPair(public={self.public.hex()})"


def context_string(mode: Mode, group: Group) -> bytes:
    """Return contextString, which is a part of every domain separation tag (RFC 9497 section 3.1)."""
    return b"OPRFV1-" + mode.to_bytes(1, "big") + b"-" + group.identifier.encode("ascii")


def derive_key_pair(group: Group, mode: Mode, seed: bytes, info: bytes) -> KeyPair:
    """Derive a key pair from 32 secret bytes and public info (RFC 9497 section 3.2.1).

    Raises CryptoError: BAD_LENGTH unless the seed has 32 bytes and the info has at most 65,535; BAD_SCALAR if
    all 256 candidates are zero, which has a negligible probability.
    """
    if len(seed) != 32 or len(info) > 65_535:
        raise CryptoError(Code.BAD_LENGTH, "DeriveKeyPair takes 32 bytes and at most 65,535 bytes of info")
    material = seed + len(info).to_bytes(2, "big") + info
    dst = b"DeriveKeyPair" + context_string(mode, group)
    for counter in range(256):
        secret = group.hash_to_scalar(material + counter.to_bytes(1, "big"), dst)
        if any(secret):
            return KeyPair(secret, group.decode_element(group.multiply_generator(secret)))
    raise CryptoError(Code.BAD_SCALAR, "DeriveKeyPair found no key")


def blind(group: Group, mode: Mode, value: bytes, blinding: Scalar) -> Element:
    """Blind an input with a fresh, secret, uniform, non-zero scalar (RFC 9497 section 3.3.1).

    Raises CryptoError: BAD_ELEMENT if the input hashes to the identity (the RFC's InvalidInputError).
    """
    return group.decode_element(group.multiply(blinding, _input_element(group, mode, value)))


def blind_evaluate(group: Group, secret: Scalar, blinded: Element) -> Element:
    """Multiply a blinded element by the secret key (RFC 9497 section 3.3.1, BlindEvaluate)."""
    return group.decode_element(group.multiply(secret, blinded))


def finalize(group: Group, value: bytes, blinding: Scalar, evaluated: Element) -> bytes:
    """Unblind an evaluated element and return the OPRF output (RFC 9497 section 3.3.1).

    In mode VOPRF the caller verifies the batch's proof first.
    """
    return _output(group, value, group.multiply(group.scalar_invert(blinding), evaluated))


def blind_additively(group: Group, mode: Mode, value: bytes, blinding: Scalar) -> Element:
    """Blind an input by adding a fresh, secret, uniform, non-zero scalar times the generator (SPEC 5.3).

    A uniform scalar times the generator is a uniform element. So the sum is uniform for every input, and it
    hides the input from the holder as well as `blind` does.

    Raises CryptoError: BAD_ELEMENT if the hashed input or the blinded element is the identity.
    """
    mask = group.multiply_generator(blinding)
    return group.decode_element(group.add(_input_element(group, mode, value), mask))


def finalize_additively(
    group: Group, value: bytes, blinding: Scalar, evaluated: Element, public_key: Element
) -> bytes:
    """Unblind an element that `blind_additively` blinded; return the OPRF output (SPEC 5.3).

    With H the hashed input, r the blind, k the key and G the generator, k * (H + r * G) - r * (k * G) = k *
    H. This is the element that `finalize` hashes.

    Pre-conditions:
    - The public key was fixed before the input was blinded. Here it is in the header that both labs signed.
    - The caller verified the batch's proof under this public key. Only the proof shows that the evaluated
      element and the public key are multiples by the same k. A holder that chooses them apart could make
      outputs depend on r.

    Source: Jarecki, Krawczyk, Xu, "On the (In)Security of the Diffie-Hellman Oblivious PRF with
    Multiplicative Blinding" (PKC 2021). The paper writes the group multiplicatively, so its "multiplicative
    blinding" is this blinding. The weakness that it shows needs a public key that is not authenticated.

    The identity is unblinded like any other element. A refusal would show a holder that forged a proof
    whether it guessed the input.
    """
    return _output(group, value, group.subtract(evaluated, group.multiply(blinding, public_key)))


def evaluate(group: Group, mode: Mode, secret: Scalar, value: bytes) -> bytes:
    """Return the OPRF output of an input under a known key, without blinding (RFC 9497 section 3.3.1)."""
    return _output(group, value, group.multiply(secret, _input_element(group, mode, value)))


def _input_element(group: Group, mode: Mode, value: bytes) -> Element:
    return group.decode_element(group.hash_to_group(value, b"HashToGroup-" + context_string(mode, group)))


def _output(group: Group, value: bytes, unblinded: bytes) -> bytes:
    return group.hash(
        len(value).to_bytes(2, "big") + value + len(unblinded).to_bytes(2, "big") + unblinded + b"Finalize"
    )
