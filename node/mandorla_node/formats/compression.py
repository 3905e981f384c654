"""Decompression of gzip lists: recognized by content, with a bound on the expansion."""

from __future__ import annotations

import contextlib
import zlib
from typing import Final

from mandorla_protocol.errors import Code, InputError

from .lines import Source

MAX_RATIO: Final = 200
"""The highest ratio of expanded to compressed size. Text has 3 to 30; a decompression bomb has 1,000."""

_MAGIC: Final = b"\x1f\x8b"
_FREE_BYTES: Final = 1 << 22
"""Expanded bytes that the ratio does not count, since a small file of equal lines may exceed it."""
_CHUNK: Final = 1 << 16


class PrefixedSource:
    """A source with bytes in front that a caller has already read."""

    def __init__(self, prefix: bytes, rest: Source) -> None:
        self._prefix = prefix
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        if not self._prefix:
            return self._rest.read(size)
        chunk, self._prefix = self._prefix[:size], self._prefix[size:]
        return chunk


def peek(source: Source, size: int) -> tuple[bytes, PrefixedSource]:
    """Return up to `size` first bytes of a source, and the source with these bytes still in it."""
    prefix = b""
    while len(prefix) < size and (chunk := source.read(size - len(prefix))):
        prefix += chunk
    return prefix, PrefixedSource(prefix, source)


def decompressed(source: Source) -> Source:
    """Return a source of the decompressed content, or the source itself if it is not gzip."""
    # No text begins with these bytes: the second is not UTF-8.
    prefix, whole = peek(source, len(_MAGIC))
    return _Gunzip(whole) if prefix == _MAGIC else whole


class _Gunzip:
    """The content of consecutive gzip members (RFC 1952), in bounded memory."""

    def __init__(self, packed: Source) -> None:
        self._packed = packed
        self._pending = b""
        self._member = _inflater()
        self._bytes_in = 0
        self._bytes_out = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises InputError(BAD_FILE) if the data is not gzip, is truncated, or expands beyond `MAX_RATIO`.
        """
        while True:
            if self._member.eof:
                # Another member may follow.
                self._pending = self._member.unused_data or self._more()
                if not self._pending:
                    return b""
                self._member = _inflater()
            elif not self._pending:
                self._pending = self._more()
                if not self._pending:
                    raise InputError(Code.BAD_FILE, "the compressed file is truncated")
            if chunk := self._inflate(size):
                return chunk

    def _more(self) -> bytes:
        chunk = self._packed.read(_CHUNK)
        self._bytes_in += len(chunk)
        return chunk

    def _inflate(self, size: int) -> bytes:
        chunk: bytes | None = None
        with contextlib.suppress(zlib.error):
            chunk = self._member.decompress(self._pending, size)
        if chunk is None:
            raise InputError(Code.BAD_FILE, "the file begins as gzip, but its rest is not gzip")
        self._pending = self._member.unconsumed_tail
        self._bytes_out += len(chunk)
        if self._bytes_out > _FREE_BYTES + MAX_RATIO * self._bytes_in:
            raise InputError(Code.BAD_FILE, f"the compressed file expands more than {MAX_RATIO} times")
        return chunk


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)
