"""JSON files that do not say what they are: told apart by what they begin with."""

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

_LOOKED_AT: Final = 1 << 16


def read_json(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read a STIX bundle or a MISP event.

    Raises InputError(BAD_FILE) if it is neither, as far as its first 64 KiB tell.
    """
    prefix, whole = peek(source, _LOOKED_AT)
    reader = {"bundle": read_stix, "event": read_misp}.get(_kind(prefix))
    if reader is None:
        raise InputError(
            Code.BAD_FILE, "the file is neither a STIX bundle nor a MISP event; say the format with --format"
        )
    yield from reader(whole, defaults)


def _kind(prefix: bytes) -> str:
    """Return the first thing that tells a bundle from an event."""
    told = ""

    def wanted(path: Path) -> bool:
        nonlocal told
        if path[:1] == ("objects",):
            told = told or "bundle"
        elif path[:1] in (("Event",), ("response",)) or path[:2] == ("*", "Event"):
            told = told or "event"
        return path == ("type",)

    try:
        for found in stream(_Once(prefix), wanted):
            if isinstance(found, Piece) and found.value == "bundle":
                return "bundle"
            if told:
                break
    except InputError:
        # The prefix of a document ends before it does.
        return told
    return told


class _Once:
    """A source of one chunk."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int, /) -> bytes:
        """Return all that there is, once."""
        chunk, self._content = self._content, b""
        return chunk
