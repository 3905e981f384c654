"""The interface of prime-order groups (RFC 9497 section 2.1, SPEC 5.1).

Elements and scalars stay serialised. So one interface serves libsodium, which works on serialised elements,
and the small groups over which the proofs enumerate all cases.
"""

from __future__ import annotations

from typing import NewType, Protocol

Element = NewType("Element", bytes)
"""A serialised element that `decode_element` accepted: canonical, and not the identity."""

Scalar = NewType("Scalar", bytes)
"""A serialised scalar, reduced modulo the group's order."""


class Group(Protocol):
    """A group of prime order with the hash functions of one RFC 9497 ciphersuite."""

    @property
    def identifier(self) -> str:
        """The ciphersuite's identifier, for example `ristretto255-SHA512`."""
        ...

    @property
    def element_size(self) -> int:
        """Ne: bytes in a serialised element."""
        ...

    @property
    def scalar_size(self) -> int:
        """Ns: bytes in a serialised scalar."""
        ...

    @property
    def generator(self) -> Element:
        """The fixed generator."""
        ...

    def hash(self, message: bytes) -> bytes:
        """Hash a message (RFC 9497 section 4, Hash); the result is the OPRF's output."""
        ...

    def hash_to_group(self, message: bytes, dst: bytes) -> bytes:
        """Map a message to an element under a domain separation tag; the result may be the identity."""
        ...

    def hash_to_scalar(self, message: bytes, dst: bytes) -> Scalar:
        """Map a message to a scalar under a domain separation tag; the result may be zero."""
        ...

    def decode_element(self, encoded: bytes) -> Element:
        """Return a canonical element that is not the identity.

        Raises CryptoError: BAD_ELEMENT for any other bytes.
        """
        ...

    def decode_scalar(self, encoded: bytes) -> Scalar:
        """Return a canonical scalar, which may be zero.

        Raises CryptoError: BAD_SCALAR for any other bytes.
        """
        ...

    def random_scalar(self, uniform: bytes) -> Scalar:
        """Reduce 64 uniform bytes to a non-zero scalar.

        Raises CryptoError: BAD_SCALAR if the result is zero.
        """
        ...

    def multiply(self, scalar: Scalar, element: bytes) -> bytes:
        """Multiply an element by a scalar; the result may be the identity."""
        ...

    def multiply_generator(self, scalar: Scalar) -> bytes:
        """Multiply the generator by a scalar; the result may be the identity."""
        ...

    def add(self, left: bytes, right: bytes) -> bytes:
        """Add two elements; the result may be the identity."""
        ...

    def subtract(self, left: bytes, right: bytes) -> bytes:
        """Subtract the element `right` from `left`; the result may be the identity."""
        ...

    def scalar_multiply_subtract(self, nonce: Scalar, challenge: Scalar, secret: Scalar) -> Scalar:
        """Return nonce - challenge * secret, modulo the order."""
        ...

    def scalar_invert(self, scalar: Scalar) -> Scalar:
        """Return the inverse of a non-zero scalar."""
        ...

    @property
    def identity(self) -> bytes:
        """The serialised identity, which `decode_element` refuses."""
        ...
