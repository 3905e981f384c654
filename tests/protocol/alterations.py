"""Bytes that a hostile peer can send instead of an encoding."""

from collections.abc import Callable, Iterator
from typing import Protocol

from mandorla_protocol.errors import MandorlaError


class Encodable(Protocol):
    def encode(self) -> bytes: ...


def alterations(encoded: bytes) -> Iterator[bytes]:
    """Yield `encoded` with each byte changed in several ways, cut at each place, and with bytes appended."""
    for position, byte in enumerate(encoded):
        for change in (0x01, 0x02, 0x80, 0xFF):
            yield encoded[:position] + bytes([byte ^ change]) + encoded[position + 1 :]
    for length in range(len(encoded)):
        yield encoded[:length]
    for extension in (b"\x00", b"\x01", b"\xff", encoded):
        yield encoded + extension


def assert_strict(value: Encodable, decode: Callable[[bytes], Encodable]) -> None:
    """Assert that `value` has one encoding:

    each alteration is refused, or is the encoding of another value.
    """
    encoded = value.encode()
    assert decode(encoded) == value
    for altered in alterations(encoded):
        try:
            decoded = decode(altered)
        except MandorlaError:
            continue
        assert decoded != value
        assert decoded.encode() == altered
