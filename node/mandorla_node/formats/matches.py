"""Matches as files: JSON for programs, and rows that `ingest` reads back: CSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from mandorla_protocol.labels import Label

from .csv_rows import guarded
from .rows import LABEL_FIELDS, MATCHED, name_of, rfc3339

if TYPE_CHECKING:
    from ..store import MatchRecord

COLUMNS: Final = ("type", "value", "peer", "kind", MATCHED, *LABEL_FIELDS, "group", "tokens")
"""What rows of matches are made of."""


@dataclass(frozen=True, slots=True)
class FoundMatch:
    """An indicator that a peer flagged too, and what the peer says of it.

    If it is a group of which `tokens` indicators match (SPEC A.5), `group` is its id, and the value too.
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
    event: int = 0
    """Its number, in the order in which matches begin."""

    @classmethod
    def of(cls, record: MatchRecord) -> FoundMatch:
        """Return a match that the store holds."""
        return cls(
            type=record.type,
            value=record.value,
            peer=record.peer_name,
            kind=record.kind.name.lower(),
            first_matched=record.first_matched,
            label=record.label,
            round_id=record.round_id,
            group=record.group,
            tokens=record.tokens,
            event=record.event,
        )

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

    def as_row(self) -> dict[str, str | int | None]:
        """Return the match as the columns of a row."""
        return {
            "type": self.type,
            "value": self.value,
            "peer": self.peer,
            "kind": self.kind,
            MATCHED: rfc3339(self.first_matched),
            **label_object(self.label),
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


def write_json_lines(matches: Iterable[FoundMatch], target: TextIO) -> None:
    """Write an object a line, with the columns of CSV."""
    for match in matches:
        target.write(json.dumps(match.as_row(), ensure_ascii=False) + "\n")


def write_csv(matches: Iterable[FoundMatch], target: TextIO) -> None:
    """Write RFC 4180 CSV with a header.

    A field that a spreadsheet would take for a formula gets an apostrophe in front, which `ingest` takes off.
    """
    writer = csv.writer(target)
    writer.writerow(COLUMNS)
    for match in matches:
        writer.writerow(
            [guarded(cell) if isinstance(cell, str) else cell for cell in match.as_row().values()]
        )
