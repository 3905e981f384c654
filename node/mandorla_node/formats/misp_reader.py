"""The reader of MISP events as JSON: an attribute that is meant for detection gives one row or more.

Row numbers count the attributes of the file from 1, those inside objects included. The free text of an
attribute is never used or shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from mandorla_protocol.errors import Code, InputError, MandorlaError
from mandorla_protocol.labels import Label

from .json_stream import End, Json, Path, stream
from .lines import Source
from .misp_types import read_attribute
from .rows import IngestRow, RejectedRow, RowDefaults, label_from
from .tlp import strictest_tag

MAX_ATTRIBUTES: Final = 500_000
"""The most attributes of one event: they stay in memory until the event's tags, which follow them."""

_PREFIXES: Final = (("response", "*", "Event"), ("Event",), ("*", "Event"), ("response",))
_PIECES: Final = frozenset({("Attribute", "*"), ("Object", "*"), ("Tag", "*"), ("threat_level_id",)})
_SEVERITIES: Final = {"1": "high", "2": "medium", "3": "low"}
_CONFIDENCES: Final = {
    "completely-confident": "100",
    "usually-confident": "75",
    "fairly-confident": "50",
    "rarely-confident": "25",
    "unconfident": "0",
}
_TAG: Final = re.compile(r'(mandorla:[a-z-]+|misp:confidence-level)="([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Attribute:
    """An attribute that waits for the end of its event."""

    number: int
    type: str
    value: str
    fields: dict[str, str]
    tags: tuple[str, ...]


class _Event:
    """The part of an event that was read so far."""

    def __init__(self) -> None:
        self.rows: list[_Attribute | RejectedRow] = []
        self.tags: list[str] = []
        self.severity = ""

    def labelled_rows(self, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
        """Yield the rows, with the tags and the threat level of the event."""
        common = {"severity": self.severity} | _fields_of(self.tags)
        for row in self.rows:
            yield row if isinstance(row, RejectedRow) else self._label(row, common, defaults)

    def _label(
        self, row: _Attribute, common: dict[str, str], defaults: RowDefaults
    ) -> IngestRow | RejectedRow:
        fields = common | row.fields
        try:
            label: Label = label_from(fields, defaults.label)
        except MandorlaError as error:
            return RejectedRow(row.number, error.code, error.detail)
        level = strictest_tag([*self.tags, *row.tags])
        marked = label if level is None else replace(label, tlp=level)
        return IngestRow(row.number, row.type, row.value, marked, fields.get("group") or defaults.group)


def read_misp(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read an event, or the result of a search for events; the rows of an event follow at its end.

    Raises InputError(BAD_FILE) if the file has no event, or one with more than `MAX_ATTRIBUTES` attributes.
    """
    event, number, any_event = _Event(), 0, False
    for found in stream(source, _wanted):
        if isinstance(found, End):
            if found.path in _PREFIXES:
                any_event = True
                yield from event.labelled_rows(defaults)
                event = _Event()
            continue
        piece = _inside(found.path)
        if piece == ("Tag", "*"):
            event.tags += _tags([found.value])
        elif piece == ("threat_level_id",):
            event.severity = _SEVERITIES.get(str(found.value), "")
        elif found.fault:
            number += 1
            event.rows.append(RejectedRow(number, Code.BAD_INPUT, found.fault))
        else:
            for attribute in _attributes(piece, found.value):
                number += 1
                event.rows += _read(number, attribute, defaults)
        if len(event.rows) > MAX_ATTRIBUTES:
            raise InputError(Code.BAD_FILE, f"an event has more than {MAX_ATTRIBUTES:,} attributes")
    if not any_event:
        raise InputError(Code.BAD_FILE, "the file is not a MISP event")


def _wanted(path: Path) -> bool:
    return _inside(path) in _PIECES


def _inside(path: Path) -> Path:
    """Return the rest of a path, inside its event; empty if the path is outside events."""
    for prefix in _PREFIXES:
        if path[: len(prefix)] == prefix:
            return path[len(prefix) :]
    return ()


def _attributes(piece: Path, value: Json) -> list[Json]:
    """Return the attributes of a piece: the piece itself, or those of an object."""
    if piece[:1] != ("Object",):
        return [value]
    inner = value.get("Attribute", []) if isinstance(value, dict) else [None]
    deleted = isinstance(value, dict) and _is_true(value.get("deleted"))
    if not isinstance(inner, list):
        return [None]
    return [item | {"deleted": True} if deleted and isinstance(item, dict) else item for item in inner]


def _read(number: int, item: Json, defaults: RowDefaults) -> Iterator[_Attribute | RejectedRow]:
    kind = item.get("type") if isinstance(item, dict) else None
    value = item.get("value") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(kind, str) or not isinstance(value, str):
        yield RejectedRow(number, Code.BAD_INPUT, "It is not a MISP attribute with a type and a value.")
        return
    if not defaults.observed and not _is_true(item.get("to_ids", True)):
        reason = "It is context, not for detection (to_ids is false)."
        yield RejectedRow(number, Code.BAD_INPUT, reason)
        return
    tags = _tags(item.get("Tag"))
    fields = _fields_of(tags)
    tagged = fields.pop("type", "")
    fields |= {name: str(item[name]) for name in ("first_seen",) if isinstance(item.get(name), str)}
    if _is_true(item.get("deleted")):
        if defaults.observed:
            yield RejectedRow(number, Code.BAD_INPUT, "It was deleted.")
            return
        # With an expired label, the next version of each table revokes the indicator.
        fields["expires"] = str(item.get("timestamp") or 1)
    for named in read_attribute(kind, value, tagged):
        if named is None:
            yield RejectedRow(number, Code.UNKNOWN_TYPE, "It is of no type of the registry.")
        else:
            yield _Attribute(
                number, *named, fields, tuple(tag for tag in tags if tag.lower().startswith("tlp:"))
            )


def _tags(value: Json) -> list[str]:
    if not isinstance(value, list):
        return []
    names = [tag.get("name") for tag in value if isinstance(tag, dict)]
    return [name for name in names if isinstance(name, str)]


def _fields_of(tags: list[str]) -> dict[str, str]:
    """Return the fields of a row that machine tags give."""
    fields: dict[str, str] = {}
    for tag in tags:
        if found := _TAG.fullmatch(tag):
            name, text = found[1].lower(), found[2]
            if name == "misp:confidence-level":
                fields.setdefault("confidence", _CONFIDENCES.get(text.lower(), ""))
            else:
                fields[name.removeprefix("mandorla:").replace("-", "_")] = text
    return fields


def _is_true(value: Json) -> bool:
    return value in (True, 1, "1", "true")
