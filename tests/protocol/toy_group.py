"""A group in which a whole round takes milliseconds: Z_p* modulo sign, for a safe prime p of 61 bits.

Its order (p - 1) / 2 is prime, and an element is written as the smaller of x and p - x, so that membership is
a comparison. It keeps ristretto255's sizes: buffers, headers and state machines cannot tell the difference.
Discrete logarithms in it are easy: it serves tests of behaviour, not of secrecy.
"""

from __future__ import annotations

import hashlib
from typing import Final

from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.group import Element, Scalar

MODULUS: Final = 2_305_843_009_213_691_579
ORDER: Final = (MODULUS - 1) // 2
_SIZE: Final = 32


class ToyGroup:
    """The group Z_p* / {1, -1}, whose operation is multiplication modulo p."""

    identifier: Final = "toy61-SHA512"
    element_size: Final = _SIZE
    scalar_size: Final = _SIZE
    identity: Final = (1).to_bytes(_SIZE, "big")
    generator: Final = Element((4).to_bytes(_SIZE, "big"))

    def hash(self, message: bytes) -> bytes:
        return hashlib.sha512(message).digest()

    def hash_to_group(self, message: bytes, dst: bytes) -> bytes:
        return _element(_uniform(message, dst) % ORDER + 1)

    def hash_to_scalar(self, message: bytes, dst: bytes) -> Scalar:
        return _scalar(_uniform(message, dst))

    def decode_element(self, encoded: bytes) -> Element:
        value = int.from_bytes(encoded, "big")
        if len(encoded) != _SIZE or not 1 < value <= ORDER:
            raise CryptoError(Code.BAD_ELEMENT)
        return Element(encoded)

    def decode_scalar(self, encoded: bytes) -> Scalar:
        if len(encoded) != _SIZE or int.from_bytes(encoded, "big") >= ORDER:
            raise CryptoError(Code.BAD_SCALAR)
        return Scalar(encoded)

    def random_scalar(self, uniform: bytes) -> Scalar:
        scalar = _scalar(int.from_bytes(uniform, "big"))
        if not any(scalar):
            raise CryptoError(Code.BAD_SCALAR)
        return scalar

    def multiply(self, scalar: Scalar, element: bytes) -> bytes:
        return _element(pow(_int(element), _int(scalar), MODULUS))

    def multiply_generator(self, scalar: Scalar) -> bytes:
        return self.multiply(scalar, self.generator)

    def add(self, left: bytes, right: bytes) -> bytes:
        return _element(_int(left) * _int(right) % MODULUS)

    def subtract(self, left: bytes, right: bytes) -> bytes:
        return _element(_int(left) * pow(_int(right), -1, MODULUS) % MODULUS)

    def scalar_multiply_subtract(self, nonce: Scalar, challenge: Scalar, secret: Scalar) -> Scalar:
        return _scalar(_int(nonce) - _int(challenge) * _int(secret))

    def scalar_invert(self, scalar: Scalar) -> Scalar:
        return _scalar(pow(_int(scalar), -1, ORDER))


def _int(encoded: bytes) -> int:
    return int.from_bytes(encoded, "big")


def _element(value: int) -> bytes:
    return min(value, MODULUS - value).to_bytes(_SIZE, "big")


def _scalar(value: int) -> Scalar:
    return Scalar((value % ORDER).to_bytes(_SIZE, "big"))


def _uniform(message: bytes, dst: bytes) -> int:
    return int.from_bytes(hashlib.sha512(len(dst).to_bytes(1, "big") + dst + message).digest(), "big")
