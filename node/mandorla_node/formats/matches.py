"""Matches as files: JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TextIO

from mandorla_protocol.labels import Label

from .rows import LABEL_FIELDS, name_of, rfc3339

_COLUMNS: Final = ("type", "value", "peer", "kind", "first_matched", *LABEL_FIELDS, "group", "tokens")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class FoundMatch:
    """An indicator that a peer flagged too, and what the peer says of it.

    If it is a group of which `tokens` indicators match (SPEC 4.5), `group` is its id, and the value too.
    """

    type: str
    value: str
    peer: str
    kind: str
    first_matched: int
    label: Label
    round_id: bytes
    group: str = ""
    tokens: int = 1

    def __repr__(self) -> str:
        """Show the peer and the kind only: the value stays out of logs and tracebacks."""
        return f"FoundMatch(peer={self.peer}, kind={self.kind})"

    def as_object(self) -> dict[str, str | int | dict[str, str | int | None] | None]:
        """Return the match as JSON has it."""
        return {
            "type": self.type,
            "value": self.value,
            "peer": self.peer,
            "kind": self.kind,
            "first_matched": rfc3339(self.first_matched),
            "label": label_object(self.label),
            "round_id": self.round_id.hex(),
            "group": self.group or None,
            "tokens": self.tokens,
        }


def label_object(label: Label) -> dict[str, str | int | None]:
    """Return a label as JSON has it: names, and times as RFC 3339 or null."""
    return {
        "reason": name_of(label.reason),
        "severity": name_of(label.severity),
        "confidence": label.confidence,
        "first_seen": rfc3339(label.first_seen) if label.first_seen else None,
        "expires": rfc3339(label.expires) if label.expires else None,
        "tlp": name_of(label.tlp),
    }


def write_json(matches: Iterable[FoundMatch], target: TextIO) -> None:
    """Write a list of objects, one a line, without holding them all."""
    separator = "["
    for match in matches:
        target.write(f"{separator}\n  {json.dumps(match.as_object(), ensure_ascii=False)}")
        separator = ","
    target.write("[]\n" if separator == "[" else "\n]\n")


def write_csv(matches: Iterable[FoundMatch], target: TextIO) -> None:
    """Write RFC 4180 CSV with a header.

    A field that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    writer = csv.writer(target)
    writer.writerow(_COLUMNS)
    for match in matches:
        label = label_object(match.label)
        writer.writerow(
            [
                _guarded(match.type),
                _guarded(match.value),
                _guarded(match.peer),
                match.kind,
                rfc3339(match.first_matched),
                *(label[name] for name in LABEL_FIELDS),
                _guarded(match.group),
                match.tokens,
            ]
        )


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
