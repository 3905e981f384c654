"""Lists that come compressed with gzip: told by their content, and never expanded beyond reason."""

from __future__ import annotations

import contextlib
import zlib
from typing import Final

from mandorla_protocol.errors import Code, InputError

from .lines import Source

MAX_RATIO: Final = 200
"""Times that a compressed list may expand; text does 3 to 30 times, and 1,000 times is a bomb."""

_MAGIC: Final = b"\x1f\x8b"
_FREE: Final = 1 << 22
_CHUNK: Final = 1 << 16


class Prefixed:
    """A source whose first bytes were looked at and go in front again."""

    def __init__(self, prefix: bytes, rest: Source) -> None:
        self._prefix = prefix
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        if not self._prefix:
            return self._rest.read(size)
        chunk, self._prefix = self._prefix[:size], self._prefix[size:]
        return chunk


def peek(source: Source, size: int) -> tuple[bytes, Prefixed]:
    """Return the first bytes of a source, `size` of them if it has so many, and the source with them."""
    prefix = b""
    while len(prefix) < size and (chunk := source.read(size - len(prefix))):
        prefix += chunk
    return prefix, Prefixed(prefix, source)


def decompressed(source: Source) -> Source:
    """Return the content of a source: decompressed if it is gzip, which no text can be taken for."""
    prefix, whole = peek(source, len(_MAGIC))
    return _Gunzip(whole) if prefix == _MAGIC else whole


class _Gunzip:
    """The content of gzip members, one after the other (RFC 1952), in bounded memory."""

    def __init__(self, packed: Source) -> None:
        self._packed = packed
        self._pending = b""
        self._member = _inflater()
        self._taken = 0
        self._given = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises InputError(BAD_FILE) for what is no gzip, is cut short, or expands more than `MAX_RATIO` times.
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
                    raise InputError(Code.BAD_FILE, "the compressed file is cut short")
            if chunk := self._inflate(size):
                return chunk

    def _more(self) -> bytes:
        chunk = self._packed.read(_CHUNK)
        self._taken += len(chunk)
        return chunk

    def _inflate(self, size: int) -> bytes:
        chunk: bytes | None = None
        with contextlib.suppress(zlib.error):
            chunk = self._member.decompress(self._pending, size)
        if chunk is None:
            raise InputError(Code.BAD_FILE, "the file begins as gzip and goes on as something else")
        self._pending = self._member.unconsumed_tail
        self._given += len(chunk)
        if self._given > _FREE + MAX_RATIO * self._taken:
            raise InputError(Code.BAD_FILE, f"the compressed file expands more than {MAX_RATIO} times")
        return chunk


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)
