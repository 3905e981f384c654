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

Function names are the RFC's. Mandorla runs mode VOPRF; mode OPRF exists for the RFC's vectors. The querier
may blind by adding instead of multiplying, which costs less and gives the same output: `blind_additively` and
`finalize_additively` then take the places of `blind` and `finalize`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .errors import Code, CryptoError
from .group import Element, Group, Scalar


class Mode(IntEnum):
    """The RFC's modes that are implemented (RFC 9497 section 3.1)."""

    OPRF = 0x00
    VOPRF = 0x01


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A holder's OPRF key: the secret scalar and the public element."""

    secret: Scalar
    public: Element

    def __repr__(self) -> str:
        """Show the public half only, so that no log or traceback holds the secret."""
        return f"KeyPair(public={self.public.hex()})"


def context_string(mode: Mode, group: Group) -> bytes:
    """Return the RFC's contextString (RFC 9497 section 3.1)."""
    return b"OPRFV1-" + mode.to_bytes(1, "big") + b"-" + group.identifier.encode("ascii")


def derive_key_pair(group: Group, mode: Mode, seed: bytes, info: bytes) -> KeyPair:
    """Derive a key pair from 32 secret bytes and public info (RFC 9497 section 3.2.1).

    Raises CryptoError(BAD_LENGTH) unless the seed has 32 bytes and info at most 65,535.
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

    Raises CryptoError(BAD_ELEMENT) if the input hashes to the identity, the RFC's InvalidInputError.
    """
    return group.decode_element(group.multiply(blinding, _input_element(group, mode, value)))


def blind_evaluate(group: Group, secret: Scalar, blinded: Element) -> Element:
    """Multiply a blinded element by the key (RFC 9497 section 3.3.1)."""
    return group.decode_element(group.multiply(secret, blinded))


def finalize(group: Group, value: bytes, blinding: Scalar, evaluated: Element) -> bytes:
    """Unblind an evaluated element and return the OPRF output (RFC 9497 section 3.3.1).

    In mode VOPRF the batch's proof must have been verified before.
    """
    return _output(group, value, group.multiply(group.scalar_invert(blinding), evaluated))


def blind_additively(group: Group, mode: Mode, value: bytes, blinding: Scalar) -> Element:
    """Blind an input by adding a fresh, secret, uniform, non-zero scalar times the generator (SPEC 5.3).

    The generator times a uniform scalar is a uniform element, so that the blinded element, their sum, is
    uniform whatever the input: it hides the input from every holder, as `blind` does.
    Raises CryptoError(BAD_ELEMENT) if the input hashes to the identity or is blinded to it.
    """
    mask = group.multiply_generator(blinding)
    return group.decode_element(group.add(_input_element(group, mode, value), mask))


def finalize_additively(
    group: Group, value: bytes, blinding: Scalar, evaluated: Element, public_key: Element
) -> bytes:
    """Unblind what `blind_additively` blinded and return the OPRF output (SPEC 5.3).

    With H the hashed input and k the key: k * (H + r * G) - r * (k * G) = k * H, what `finalize` returns.

    Pre-conditions:
    - the public key was fixed before the input was blinded: here it is in the header that both labs signed;
    - the batch's proof was verified under it. Only that makes the evaluated element and the public key
      multiples by one k; a holder free to choose them apart could make outputs depend on r.

    Source: Jarecki, Krawczyk, Xu, "On the (In)Security of the Diffie-Hellman Oblivious PRF with
    Multiplicative Blinding" (PKC 2021). They write the group multiplicatively: their multiplicative blinding
    is this one, and the weakness that they show needs a public key that is not authenticated.

    The identity is unblinded like any element: to refuse it would tell a holder that forged a proof whether
    it had guessed the input.
    """
    return _output(group, value, group.subtract(evaluated, group.multiply(blinding, public_key)))


def evaluate(group: Group, mode: Mode, secret: Scalar, value: bytes) -> bytes:
    """Compute the OPRF output of one's own input with one's own key (RFC 9497 section 3.3.1)."""
    return _output(group, value, group.multiply(secret, _input_element(group, mode, value)))


def _input_element(group: Group, mode: Mode, value: bytes) -> Element:
    return group.decode_element(group.hash_to_group(value, b"HashToGroup-" + context_string(mode, group)))


def _output(group: Group, value: bytes, unblinded: bytes) -> bytes:
    return group.hash(
        len(value).to_bytes(2, "big") + value + len(unblinded).to_bytes(2, "big") + unblinded + b"Finalize"
    )
