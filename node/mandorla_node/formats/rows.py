"""Rows: what every format is read into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final, TypeVar

from mandorla_protocol.errors import Code, InputError, MandorlaError
from mandorla_protocol.labels import Label, Reason, Severity, Tlp

Name = TypeVar("Name", bound=IntEnum)

LABEL_FIELDS: Final = ("reason", "severity", "confidence", "first_seen", "expires", "tlp")
FIELDS: Final = ("type", "value", *LABEL_FIELDS, "group")
MATCHED: Final = "first_matched"
"""A column of what `matches` writes: there a group's own row has the group for its value."""

NO_LABEL: Final = Label()
LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999 in Unix seconds, the last time that RFC 3339 can write."""
_DIGITS: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class IngestRow:
    """An indicator as it stood in its source: its line, its type and text, what is said of it, its group."""

    line: int
    type: str
    value: str
    label: Label = NO_LABEL
    group: str = ""

    def __repr__(self) -> str:
        """Show the line only: the value stays out of logs and tracebacks."""
        return f"IngestRow(line={self.line})"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """Why a row cannot be read; never its content. `line` counts lines, or the objects of a document."""

    line: int
    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class RowDefaults:
    """The type, label and group of rows that do not say their own; no type means that each row must.

    `observed` says that rows go into the observed set: then what was merely seen is taken too.
    """

    type: str = ""
    label: Label = NO_LABEL
    group: str = ""
    observed: bool = False


def make_row(line: int, fields: Mapping[str, str], defaults: RowDefaults) -> IngestRow | RejectedRow:
    """Make a row of named fields; empty ones take their default, unknown ones are ignored."""
    kind = fields.get("type", "").strip() or defaults.type
    value = fields.get("value", "").strip()
    group = fields.get("group", "").strip()
    if not value:
        return RejectedRow(line, Code.BAD_INPUT, "The row has no value.")
    if not kind:
        return RejectedRow(line, Code.BAD_INPUT, "The row has no type, and no --type was given.")
    if group == value and fields.get(MATCHED, "").strip():
        # An id may look like a fingerprint: 32 hexadecimal digits are a usual name for things.
        return RejectedRow(line, Code.BAD_INPUT, "It is a match of a group, and names no indicator.")
    try:
        label = label_from(fields, defaults.label)
    except MandorlaError as error:
        return RejectedRow(line, error.code, error.detail)
    return IngestRow(line, kind, value, label, group or defaults.group)


def label_from(fields: Mapping[str, str], default: Label) -> Label:
    """Read a label's fields from text; empty ones stay as they are in `default`.

    Raises MandorlaError: BAD_INPUT for a text that is no value of its field, BAD_LABEL for one out of range.
    """
    given = {name: text for name in LABEL_FIELDS if (text := fields.get(name, "").strip())}
    if not given:
        return default
    label = default
    for name, text in given.items():
        match name:
            case "reason":
                label = replace(label, reason=named(Reason, name, text))
            case "severity":
                label = replace(label, severity=named(Severity, name, text))
            case "tlp":
                label = replace(label, tlp=named(Tlp, name, text))
            case "confidence":
                label = replace(label, confidence=_number(name, text))
            case "first_seen":
                label = replace(label, first_seen=unix_time(name, text))
            case _:
                label = replace(label, expires=unix_time(name, text))
    return label


def named(kind: type[Name], field: str, text: str) -> Name:
    """Return the member of an enum that a text names, as `name_of` writes it or near to that.

    Raises InputError(BAD_INPUT) that lists the names.
    """
    wanted = text.strip().upper().replace("-", "_").replace("+", "_").removeprefix("TLP:")
    for member in kind:
        if member.name == wanted:
            return member
    raise InputError(
        Code.BAD_INPUT, f"The {field} is one of {', '.join(name_of(member) for member in kind)}."
    )


def name_of(member: IntEnum) -> str:
    """Write a member of an enum: its name in lower case, with hyphens."""
    return member.name.lower().replace("_", "-")


def unix_time(field: str, text: str) -> int:
    """Read a time, in Unix seconds or as RFC 3339 (a date alone is its first second in UTC).

    Raises InputError(BAD_INPUT).
    """
    if _DIGITS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, int(aware.timestamp()))
    except (ValueError, OverflowError):
        raise InputError(
            Code.BAD_INPUT, f"The {field} is a date, an RFC 3339 time, or Unix seconds."
        ) from None


def rfc3339(seconds: int) -> str:
    """Write Unix seconds as RFC 3339 in UTC; what is after the year 9999, as a label may be, as its end."""
    return datetime.fromtimestamp(min(seconds, LAST_SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(field: str, text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise InputError(Code.BAD_INPUT, f"The {field} is a whole number.")
    return int(text)
