"""ristretto255-SHA512 (RFC 9497 section 4.1, RFC 9496): elements by libsodium (rbcl), scalars by PyNaCl."""

from __future__ import annotations

import hashlib
from typing import Final

import rbcl
from nacl import bindings
from nacl.exceptions import RuntimeError as NaClRuntimeError

from ..errors import Code, CryptoError
from . import Element, Scalar

_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_BLOCK_SIZE: Final = 128
_UNIFORM_SIZE: Final = 64


def expand_message_xmd(message: bytes, dst: bytes) -> bytes:
    """Expand a message to 64 uniform bytes with SHA-512 (RFC 9380 section 5.3.1).

    SHA-512 has 64 bytes, so the result is b_1 alone. `dst` has at most 255 bytes.
    """
    dst_prime = dst + len(dst).to_bytes(1, "big")
    b_0 = hashlib.sha512(
        bytes(_BLOCK_SIZE) + message + _UNIFORM_SIZE.to_bytes(2, "big") + b"\x00" + dst_prime
    ).digest()
    return hashlib.sha512(b_0 + b"\x01" + dst_prime).digest()


class Ristretto255:
    """The group ristretto255 with SHA-512. It has no state."""

    identifier: Final = "ristretto255-SHA512"
    element_size: Final = 32
    scalar_size: Final = 32
    identity: Final = bytes(32)
    generator: Final = Element(
        bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
    )

    def hash(self, message: bytes) -> bytes:
        """Return SHA-512 of the message, 64 bytes."""
        return hashlib.sha512(message).digest()

    def hash_to_group(self, message: bytes, dst: bytes) -> bytes:
        """Map a message to an element (RFC 9497 section 4.1, hash_to_ristretto255 of RFC 9380 appendix B)."""
        element: bytes = rbcl.crypto_core_ristretto255_from_hash(expand_message_xmd(message, dst))
        return element

    def hash_to_scalar(self, message: bytes, dst: bytes) -> Scalar:
        """Map a message to a scalar: 64 bytes, little-endian, modulo the order (RFC 9497 section 4.1)."""
        return Scalar(bindings.crypto_core_ed25519_scalar_reduce(expand_message_xmd(message, dst)))

    def decode_element(self, encoded: bytes) -> Element:
        """Return a canonical element that is not the identity (RFC 9496 section 4.3.1, RFC 9497 section 2.1).

        Raises CryptoError: BAD_ELEMENT for any other bytes.
        """
        # A canonical encoding has the highest bit clear (RFC 9496 section 4.3.1). rbcl's libsodium ignores
        # that bit.
        if (
            len(encoded) != self.element_size
            or encoded[-1] & 0x80
            or encoded == self.identity
            or not rbcl.crypto_core_ristretto255_is_valid_point(encoded)
        ):
            raise CryptoError(Code.BAD_ELEMENT)
        return Element(encoded)

    def decode_scalar(self, encoded: bytes) -> Scalar:
        """Return a scalar of 32 bytes, little-endian, below the order.

        Raises CryptoError: BAD_SCALAR for any other bytes.
        """
        if len(encoded) != self.scalar_size or int.from_bytes(encoded, "little") >= _ORDER:
            raise CryptoError(Code.BAD_SCALAR)
        return Scalar(encoded)

    def random_scalar(self, uniform: bytes) -> Scalar:
        """Reduce 64 uniform bytes to a non-zero scalar.

        Raises CryptoError: BAD_LENGTH for another number of bytes; BAD_SCALAR if the result is zero, which
        has a negligible probability for uniform bytes.
        """
        if len(uniform) != _UNIFORM_SIZE:
            raise CryptoError(Code.BAD_LENGTH)
        scalar = Scalar(bindings.crypto_core_ed25519_scalar_reduce(uniform))
        if scalar == bytes(self.scalar_size):
            raise CryptoError(Code.BAD_SCALAR)
        return scalar

    def multiply(self, scalar: Scalar, element: bytes) -> bytes:
        """Multiply a decoded element by a scalar, in constant time in the scalar.

        Raises CryptoError: BAD_ELEMENT if `element` is not the encoding of an element.
        """
        try:
            product: bytes = rbcl.crypto_scalarmult_ristretto255(scalar, element)
        except RuntimeError:
            # libsodium raises one error for two cases: the product is the identity, or the input is no
            # element.
            if not rbcl.crypto_core_ristretto255_is_valid_point(element):
                raise CryptoError(Code.BAD_ELEMENT) from None
            return self.identity
        return product

    def multiply_generator(self, scalar: Scalar) -> bytes:
        """Multiply the generator by a scalar, in constant time in the scalar."""
        product: bytes = rbcl.crypto_scalarmult_ristretto255_base_allow_scalar_zero(scalar)
        return product

    def add(self, left: bytes, right: bytes) -> bytes:
        """Add two elements."""
        total: bytes = rbcl.crypto_core_ristretto255_add(left, right)
        return total

    def subtract(self, left: bytes, right: bytes) -> bytes:
        """Subtract `right` from `left`."""
        difference: bytes = rbcl.crypto_core_ristretto255_sub(left, right)
        return difference

    def scalar_multiply_subtract(self, nonce: Scalar, challenge: Scalar, secret: Scalar) -> Scalar:
        """Return nonce - challenge * secret modulo the order, in constant time."""
        product = bindings.crypto_core_ed25519_scalar_mul(challenge, secret)
        return Scalar(bindings.crypto_core_ed25519_scalar_sub(nonce, product))

    def scalar_invert(self, scalar: Scalar) -> Scalar:
        """Return the inverse of a non-zero scalar modulo the order, in constant time.

        Raises CryptoError: BAD_SCALAR for zero.
        """
        try:
            return Scalar(bindings.crypto_core_ed25519_scalar_invert(scalar))
        except NaClRuntimeError:
            raise CryptoError(Code.BAD_SCALAR) from None
