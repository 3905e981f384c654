"""A match as an export shows it: as a JSON object, or as the columns of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mandorla_protocol.labels import Label

from .rows import LABEL_FIELDS, MATCHED, name_of, rfc3339

if TYPE_CHECKING:
    from ..store import MatchRecord

COLUMNS: Final = ("type", "value", "peer", "kind", MATCHED, *LABEL_FIELDS, "group", "tokens")
"""The columns of a row."""


@dataclass(frozen=True, slots=True)
class FoundMatch:
    """A match with a peer, and the peer's label. Times are Unix seconds.

    For a group of which `tokens` indicators match (SPEC A.5), `group` and `value` are the group's name.
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
    """The match's number: matches are numbered as they begin."""

    @classmethod
    def of(cls, record: MatchRecord) -> FoundMatch:
        """Return the match of a store's record."""
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
        """Show the peer and the kind only: logs and tracebacks must not contain the value."""
        return f"FoundMatch(peer={self.peer}, kind={self.kind})"

    def as_object(self) -> dict[str, str | int | dict[str, str | int | None] | None]:
        """Return the match as a JSON object."""
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
        """Return the match as a row with `COLUMNS`."""
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
    """Return a label as a JSON object: names, and times as RFC 3339 or null."""
    return {
        "reason": name_of(label.reason),
        "severity": name_of(label.severity),
        "confidence": label.confidence,
        "first_seen": rfc3339(label.first_seen) if label.first_seen else None,
        "expires": rfc3339(label.expires) if label.expires else None,
        "tlp": name_of(label.tlp),
    }
