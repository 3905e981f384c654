"""Groups of prime order 5 to 23, whose hash functions are oracles that a proof programs.

They have the interface of ristretto255, so that the proofs run the code that labs run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.group import Element, Scalar

MODULI: Final = {5: 11, 7: 29, 11: 23, 13: 53, 17: 103, 19: 191, 23: 47}
"""A prime p for each order q, with q a divisor of p - 1."""

_SIZE: Final = 2


class Refuted(Exception):
    """A claim does not hold; the message is a counterexample."""


class SmallGroup:
    """The subgroup of order q of Z_p*.

    `challenge` and `weights` are the random oracle's answers to a proof of evaluation. `asked` collects the
    transcripts whose challenge the oracle returned.
    """

    identifier: Final = "small-SHA512"
    element_size: Final = _SIZE
    scalar_size: Final = _SIZE

    def __init__(self, order: int) -> None:
        self.order = order
        self._modulus = MODULI[order]
        exponent = (self._modulus - 1) // order
        self._generator = next(
            root for base in range(2, self._modulus) if (root := pow(base, exponent, self._modulus)) != 1
        )
        self.generator = Element(self._element(self._generator))
        self.identity = self._element(1)
        self.challenge = 0
        self.weights: tuple[int, ...] = (1,)
        self.asked: list[bytes] = []

    def scalars(self) -> Iterator[Scalar]:
        """Yield all scalars except zero."""
        return (self.scalar(number) for number in range(1, self.order))

    def elements(self) -> list[Element]:
        """Return all elements except the identity."""
        return [Element(self.multiply_generator(scalar)) for scalar in self.scalars()]

    def scalar(self, number: int) -> Scalar:
        """Return a number as a scalar."""
        return Scalar((number % self.order).to_bytes(_SIZE, "big"))

    def hash(self, message: bytes) -> bytes:
        """Return the message itself, as a hash without collisions."""
        return message

    def hash_to_group(self, message: bytes, dst: bytes) -> bytes:
        """Return the message as an element, so that a proof can try all elements."""
        return message

    def hash_to_scalar(self, message: bytes, dst: bytes) -> Scalar:
        """Return the programmed challenge, or the programmed weight of the index in the message."""
        if message.endswith(b"Challenge"):
            self.asked.append(message)
            return self.scalar(self.challenge)
        index = int.from_bytes(message[2 + int.from_bytes(message[:2], "big") :][:2], "big")
        return self.scalar(self.weights[index])

    def decode_element(self, encoded: bytes) -> Element:
        """Decode an element of the subgroup that is not the identity."""
        value = int.from_bytes(encoded, "big")
        if (
            len(encoded) != _SIZE
            or not 1 < value < self._modulus
            or pow(value, self.order, self._modulus) != 1
        ):
            raise CryptoError(Code.BAD_ELEMENT)
        return Element(encoded)

    def decode_scalar(self, encoded: bytes) -> Scalar:
        """Decode a reduced scalar."""
        if len(encoded) != _SIZE or int.from_bytes(encoded, "big") >= self.order:
            raise CryptoError(Code.BAD_SCALAR)
        return Scalar(encoded)

    def random_scalar(self, uniform: bytes) -> Scalar:
        """Reduce bytes to a scalar."""
        return self.scalar(int.from_bytes(uniform, "big"))

    def multiply(self, scalar: Scalar, element: bytes) -> bytes:
        """Multiply an element by a scalar: a power in Z_p*."""
        exponent = int.from_bytes(scalar, "big")
        return self._element(pow(int.from_bytes(element, "big"), exponent, self._modulus))

    def multiply_generator(self, scalar: Scalar) -> bytes:
        """Multiply the generator."""
        return self.multiply(scalar, self._element(self._generator))

    def add(self, left: bytes, right: bytes) -> bytes:
        """Add two elements: a product in Z_p*."""
        return self._element(int.from_bytes(left, "big") * int.from_bytes(right, "big"))

    def subtract(self, left: bytes, right: bytes) -> bytes:
        """Subtract an element: a quotient in Z_p*."""
        inverse = pow(int.from_bytes(right, "big"), -1, self._modulus)
        return self._element(int.from_bytes(left, "big") * inverse)

    def scalar_multiply_subtract(self, nonce: Scalar, challenge: Scalar, secret: Scalar) -> Scalar:
        """Return nonce - challenge * secret."""
        numbers = (int.from_bytes(value, "big") for value in (nonce, challenge, secret))
        first, second, third = numbers
        return self.scalar(first - second * third)

    def scalar_invert(self, scalar: Scalar) -> Scalar:
        """Return the inverse."""
        return self.scalar(pow(int.from_bytes(scalar, "big"), -1, self.order))

    def _element(self, value: int) -> bytes:
        return (value % self._modulus).to_bytes(_SIZE, "big")
