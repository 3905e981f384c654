"""The canonical encoding of the structures that Mandorla hashes and signs (SPEC 3).

A structure is a domain string and then its fields, in order. Integers are big-endian with a fixed width.
A length of four bytes stands before each byte string and text, and a count of four bytes before each
sequence.

Hashes and signatures depend on two properties. Each value has exactly one encoding, so a decoder refuses any
other bytes. No two values share an encoding: the domain tells structures apart, lengths and counts show where
a field ends, and a decoder consumes all of its input. z3 proves the second property (`proofs/bounds`).
Protobuf guarantees neither property, so labs never hash or sign protobuf messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .errors import Code, EncodingError

T = TypeVar("T")

_LENGTH_BYTES = 4
_MAX_LENGTH = 2**32 - 1


class Writer:
    """Writes one structure's canonical encoding, field by field."""

    def __init__(self, domain: str) -> None:
        self._parts: list[bytes] = []
        self.text(domain)

    def uint(self, value: int, width: int) -> Writer:
        """Append an unsigned integer of `width` bytes, big-endian.

        Raises EncodingError: BAD_ENCODING if the value does not fit.
        """
        self._parts.append(encoded_uint(value, width))
        return self

    def fixed(self, value: bytes, size: int) -> Writer:
        """Append exactly `size` bytes, without a length.

        Raises EncodingError: BAD_LENGTH if the value has another length.
        """
        if len(value) != size:
            raise EncodingError(Code.BAD_LENGTH, f"a field has {len(value)} bytes, not {size}")
        self._parts.append(bytes(value))
        return self

    def data(self, value: bytes) -> Writer:
        """Append the length of a byte string, and the byte string."""
        self._parts.append(encoded_data(value))
        return self

    def text(self, value: str) -> Writer:
        """Append the length in bytes of a text in UTF-8, and the text.

        Raises EncodingError: BAD_ENCODING if the text holds a lone surrogate.
        """
        self._parts.append(encoded_text(value))
        return self

    def sequence(self, values: Sequence[T], write: Callable[[Writer, T], object]) -> Writer:
        """Append the number of values, and each value with `write`."""
        self.uint(len(values), _LENGTH_BYTES)
        for value in values:
            write(self, value)
        return self

    def finish(self) -> bytes:
        """Return the encoding of the domain and all appended fields."""
        return b"".join(self._parts)


def encoded_uint(value: int, width: int) -> bytes:
    """Return the encoding of one unsigned integer of `width` bytes.

    Raises EncodingError: BAD_ENCODING if the value does not fit.
    """
    if not 0 <= value < 1 << (8 * width):
        raise EncodingError(Code.BAD_ENCODING, f"an integer does not fit {width} bytes")
    return value.to_bytes(width, "big")


def encoded_data(value: bytes) -> bytes:
    """Return the encoding of one byte string.

    Raises EncodingError: BAD_LENGTH if the byte string has 2**32 bytes or more.
    """
    if len(value) > _MAX_LENGTH:
        raise EncodingError(Code.BAD_LENGTH, "a byte string is too long to encode")
    return len(value).to_bytes(_LENGTH_BYTES, "big") + value


def encoded_text(value: str) -> bytes:
    """Return the encoding of one text.

    Raises EncodingError: BAD_ENCODING if the text holds a lone surrogate.
    """
    try:
        encoded = value.encode("utf-8")
    except UnicodeEncodeError:
        raise EncodingError(Code.BAD_ENCODING, "a text is not valid Unicode") from None
    return encoded_data(encoded)


class Reader:
    """Reads one structure's canonical encoding, field by field.

    Each method raises EncodingError (BAD_ENCODING or BAD_LENGTH) if the bytes do not hold such a field. After
    the last field the caller calls `finish`, or trailing bytes would go unnoticed.
    """

    def __init__(self, encoded: bytes, domain: str) -> None:
        self._encoded = bytes(encoded)
        self._position = 0
        if self.data(max_length=len(domain.encode())) != domain.encode():
            raise EncodingError(Code.BAD_ENCODING, f"not a {domain!r} structure")

    def uint(self, width: int) -> int:
        """Read an unsigned integer of `width` bytes."""
        return int.from_bytes(self.fixed(width), "big")

    def fixed(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        end = self._position + size
        if end > len(self._encoded):
            raise EncodingError(Code.BAD_ENCODING, "the encoding ends too early")
        value = self._encoded[self._position : end]
        self._position = end
        return value

    def data(self, max_length: int = _MAX_LENGTH) -> bytes:
        """Read a byte string of at most `max_length` bytes."""
        # The limit is checked before the bytes are read, so that a false length costs no memory.
        length = self.uint(_LENGTH_BYTES)
        if length > max_length:
            raise EncodingError(Code.BAD_LENGTH, "a byte string is longer than allowed")
        return self.fixed(length)

    def text(self, max_length: int = _MAX_LENGTH) -> str:
        """Read a text of at most `max_length` bytes of UTF-8."""
        try:
            return self.data(max_length).decode("utf-8")
        except UnicodeDecodeError:
            raise EncodingError(Code.BAD_ENCODING, "a text is not UTF-8") from None

    def sequence(self, read: Callable[[Reader], T], max_count: int) -> tuple[T, ...]:
        """Read a sequence of at most `max_count` values, each with `read`."""
        count = self.uint(_LENGTH_BYTES)
        if count > max_count:
            raise EncodingError(Code.BAD_ENCODING, "a sequence is longer than allowed")
        return tuple(read(self) for _ in range(count))

    def finish(self) -> None:
        """Require that all bytes are read."""
        if self._position != len(self._encoded):
            raise EncodingError(Code.BAD_ENCODING, "bytes trail the structure")
