"""Rows, which the readers of all formats yield."""

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
"""A column of exported matches. With it, a row whose value is its group is the match of a group."""

NO_LABEL: Final = Label()
LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999 in Unix seconds, the last time that RFC 3339 can write."""
_DIGITS: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class IngestRow:
    """An indicator as its source has it: line, type, text, label and group."""

    line: int
    type: str
    value: str
    label: Label = NO_LABEL
    group: str = ""

    def __repr__(self) -> str:
        """Show the line only: logs and tracebacks must not contain the value."""
        return f"IngestRow(line={self.line})"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """The reason why a row is unusable, never its content. `line` counts lines, or a document's objects."""

    line: int
    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class RowDefaults:
    """The type, label and group of rows without their own. An empty type requires one in each row.

    `observed` says that the rows go into the observed set. Readers then accept rows that their source marks
    as seen but not as malicious.
    """

    type: str = ""
    label: Label = NO_LABEL
    group: str = ""
    observed: bool = False


def make_row(line: int, fields: Mapping[str, str], defaults: RowDefaults) -> IngestRow | RejectedRow:
    """Make a row from named fields. Empty fields get their default; unknown ones are ignored."""
    kind = fields.get("type", "").strip() or defaults.type
    value = fields.get("value", "").strip()
    group = fields.get("group", "").strip()
    if not value:
        return RejectedRow(line, Code.BAD_INPUT, "The row has no value.")
    if not kind:
        return RejectedRow(line, Code.BAD_INPUT, "The row has no type, and no --type was given.")
    if group == value and fields.get(MATCHED, "").strip():
        # A group's id may look like a fingerprint: many ids are 32 hexadecimal digits.
        return RejectedRow(line, Code.BAD_INPUT, "It is the match of a group, not of an indicator.")
    try:
        label = label_from(fields, defaults.label)
    except MandorlaError as error:
        return RejectedRow(line, error.code, error.detail)
    return IngestRow(line, kind, value, label, group or defaults.group)


def label_from(fields: Mapping[str, str], default: Label) -> Label:
    """Return a label from the texts of its fields; an empty field keeps the value of `default`.

    Raises MandorlaError: BAD_INPUT for a text that is not a value of its field, BAD_LABEL for a value out of
    range.
    """
    given = {name: text for name in LABEL_FIELDS if (text := fields.get(name, "").strip())}
    if not given:
        return default
    label = default
    for name, text in given.items():
        match name:
            case "reason":
                label = replace(label, reason=enum_member(Reason, name, text))
            case "severity":
                label = replace(label, severity=enum_member(Severity, name, text))
            case "tlp":
                label = replace(label, tlp=enum_member(Tlp, name, text))
            case "confidence":
                label = replace(label, confidence=_number(name, text))
            case "first_seen":
                label = replace(label, first_seen=unix_time(name, text))
            case _:
                label = replace(label, expires=unix_time(name, text))
    return label


def enum_member(kind: type[Name], field: str, text: str) -> Name:
    """Return the member of an enum that a text names, in any case, with or without `tlp:`.

    Raises InputError(BAD_INPUT) with the list of names.
    """
    wanted = text.strip().upper().replace("-", "_").replace("+", "_").removeprefix("TLP:")
    for member in kind:
        if member.name == wanted:
            return member
    raise InputError(
        Code.BAD_INPUT, f"The {field} is one of {', '.join(name_of(member) for member in kind)}."
    )


def name_of(member: IntEnum) -> str:
    """Return the name of an enum's member in lower case, with hyphens."""
    return member.name.lower().replace("_", "-")


def unix_time(field: str, text: str) -> int:
    """Return a time in Unix seconds, from Unix seconds or RFC 3339 (a date means its first second in UTC).

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
    """Return Unix seconds as RFC 3339 in UTC; a later time than the year 9999 becomes its last second."""
    return datetime.fromtimestamp(min(seconds, LAST_SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(field: str, text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise InputError(Code.BAD_INPUT, f"The {field} is a whole number.")
    return int(text)
