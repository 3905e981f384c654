"""The reader of JSON files of unknown kind: STIX bundles or MISP events, recognized by their first keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mandorla_protocol.errors import Code, InputError

from .compression import peek
from .json_stream import Path, Piece, stream
from .lines import Source
from .misp_reader import read_misp
from .rows import IngestRow, RejectedRow, RowDefaults
from .stix_reader import read_stix

_PREFIX_SIZE: Final = 1 << 16


def read_json(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read a STIX bundle or a MISP event.

    Raises InputError(BAD_FILE) if the first 64 KiB show that it is neither.
    """
    prefix, whole = peek(source, _PREFIX_SIZE)
    reader = {"bundle": read_stix, "event": read_misp}.get(_kind(prefix))
    if reader is None:
        raise InputError(
            Code.BAD_FILE, "the file is neither a STIX bundle nor a MISP event; name the format with --format"
        )
    yield from reader(whole, defaults)


def _kind(prefix: bytes) -> str:
    """Return `bundle` or `event` by the first key that only one of them has, or nothing."""
    kind = ""

    def wanted(path: Path) -> bool:
        nonlocal kind
        if path[:1] == ("objects",):
            kind = kind or "bundle"
        elif path[:1] in (("Event",), ("response",)) or path[:2] == ("*", "Event"):
            kind = kind or "event"
        return path == ("type",)

    try:
        for found in stream(_Once(prefix), wanted):
            if isinstance(found, Piece) and found.value == "bundle":
                return "bundle"
            if kind:
                break
    except InputError:
        # The prefix is a truncated document, so its end is an error.
        return kind
    return kind


class _Once:
    """A source of one chunk."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int, /) -> bytes:
        """Return the chunk, then nothing."""
        chunk, self._content = self._content, b""
        return chunk
