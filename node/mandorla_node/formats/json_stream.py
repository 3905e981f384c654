"""The stream reader of JSON documents: yields the wanted parts of a document, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import ijson

from mandorla_protocol.errors import Code, InputError

from .lines import Source, without_byte_order_mark

MAX_DEPTH: Final = 64
"""The deepest nesting of objects and lists."""

MAX_TEXT: Final = 1 << 20
"""The most bytes of a text, a number or white space."""

MAX_VALUES: Final = 20_000
"""The most values in one piece."""

_MAX_KEYS: Final = 4_096
_CHUNK: Final = 1 << 16

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Path: TypeAlias = tuple[str, ...]
"""The keys that lead to a value; `*` stands for the items of a list."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A wanted value, or the fault that makes it unusable."""

    path: Path
    value: Json
    fault: str = ""

    def __repr__(self) -> str:
        """Show the fault only: logs and tracebacks must not contain the value."""
        return f"Piece(fault={self.fault!r})"


@dataclass(frozen=True, slots=True)
class End:
    """The end of an object that contains wanted paths."""

    path: Path


def stream(source: Source, wanted: Callable[[Path], bool]) -> Iterator[Piece | End]:
    """Yield the values at wanted paths, in order, and the end of each object around them.

    A piece with a repeated key or more than `MAX_VALUES` values has a fault; reading goes on after it.

    Raises InputError(BAD_FILE) if the source is not JSON, is nested deeper than `MAX_DEPTH`, has a text
    longer than `MAX_TEXT`, or repeats a key outside the pieces.
    """
    walker = _Walker(wanted)
    for kind, value in _events(source):
        if (found := walker.take(kind, value)) is not None:
            yield found


def _events(source: Source) -> Iterator[tuple[str, Json]]:
    """Yield the parser's events. Its errors quote the document, so they are replaced by safe ones."""
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events, use_float=True)
    size, since_event, well_formed = 0, 0, True
    while well_formed and (chunk := source.read(_CHUNK)):
        if not size:
            chunk = without_byte_order_mark(chunk)
        size += len(chunk)
        well_formed = _is_well_formed(parser.send, chunk)
        # The parser buffers a text until its end. Without an event for so many bytes, it buffers a long one.
        since_event = 0 if events else since_event + len(chunk)
        yield from events
        events.clear()
        if since_event > MAX_TEXT:
            raise InputError(Code.BAD_FILE, f"the JSON has a text longer than {MAX_TEXT:,} bytes")
    if not well_formed or not _is_well_formed(lambda _: parser.close(), b""):
        raise InputError(Code.BAD_FILE, f"the JSON is malformed or truncated, before byte {size + 1:,}")
    yield from events


def _is_well_formed(step: Callable[[bytes], object], chunk: bytes) -> bool:
    try:
        step(chunk)
    except (ijson.JSONError, ValueError, OverflowError):
        return False
    return True


@dataclass(slots=True)
class _Frame:
    """An open object or list around the pieces."""

    is_object: bool
    key: str
    keys: set[str] = field(default_factory=set)


class _Walker:
    """The position of the parser, and the piece under construction."""

    def __init__(self, wanted: Callable[[Path], bool]) -> None:
        self._wanted = wanted
        self._frames: list[_Frame] = []
        self._piece: _Builder | None = None
        self._path: Path = ()

    def take(self, kind: str, value: Json) -> Piece | End | None:
        """Handle a parser event; return the piece or the object that it completes."""
        if self._piece is not None:
            return self._build(self._piece, kind, value)
        if kind == "map_key":
            self._enter(str(value))
            return None
        if kind in ("end_map", "end_array"):
            ended = self._frames.pop()
            return End(self._where()) if ended.is_object else None
        path = self._where()
        if self._wanted(path):
            self._path, self._piece = path, _Builder(MAX_DEPTH - len(self._frames))
            return self._build(self._piece, kind, value)
        if kind in ("start_map", "start_array"):
            if len(self._frames) == MAX_DEPTH:
                raise InputError(Code.BAD_FILE, f"the JSON is nested deeper than {MAX_DEPTH}")
            self._frames.append(_Frame(kind == "start_map", "*"))
        return None

    def _enter(self, key: str) -> None:
        frame = self._frames[-1]
        if key in frame.keys or len(frame.keys) == _MAX_KEYS:
            raise InputError(Code.BAD_FILE, "a JSON object has a key twice, or too many keys")
        frame.keys.add(key)
        frame.key = key

    def _where(self) -> Path:
        return tuple(frame.key for frame in self._frames)

    def _build(self, piece: _Builder, kind: str, value: Json) -> Piece | None:
        if not piece.take(kind, value):
            return None
        self._piece = None
        return Piece(self._path, None if piece.fault else piece.root, piece.fault)


class _Builder:
    """A value under construction from events; after a fault, the rest of the value is skipped."""

    def __init__(self, depth: int) -> None:
        self.root: Json = None
        self.fault = ""
        self._allowed = depth
        self._open: list[tuple[dict[str, Json] | list[Json], str]] = []
        self._depth = 0
        self._count = 0

    def take(self, kind: str, value: Json) -> bool:
        """Handle a parser event; return whether the value is complete."""
        match kind:
            case "start_map" | "start_array":
                self._start({} if kind == "start_map" else [])
            case "end_map" | "end_array":
                self._depth -= 1
                if not self.fault:
                    self._open.pop()
            case "map_key":
                self._key(str(value))
            case _:
                self._put(value)
        return self._depth == 0

    def _start(self, container: dict[str, Json] | list[Json]) -> None:
        self._depth += 1
        if self._depth > self._allowed:
            raise InputError(Code.BAD_FILE, f"the JSON is nested deeper than {MAX_DEPTH}")
        self._put(container)
        if not self.fault:
            self._open.append((container, ""))

    def _key(self, key: str) -> None:
        if self.fault:
            return
        container, _ = self._open[-1]
        if key in container:
            self._fail("It has an object with the same key twice.")
        else:
            self._open[-1] = (container, key)

    def _put(self, value: Json) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            self._fail(f"It holds more than {MAX_VALUES:,} values.")
        if isinstance(value, str) and not _encodable(value):
            self._fail("It holds half of a surrogate pair.")
        if self.fault:
            return
        if not self._open:
            self.root = value
            return
        container, key = self._open[-1]
        if isinstance(container, dict):
            container[key] = value
        else:
            container.append(value)

    def _fail(self, fault: str) -> None:
        self.fault = self.fault or fault
        self.root = None
        self._open.clear()


def _encodable(text: str) -> bool:
    # Some backends of the parser accept half of a surrogate pair, which UTF-8 cannot encode.
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
