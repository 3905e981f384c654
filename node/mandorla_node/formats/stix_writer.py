"""Matches as a STIX 2.1 bundle.

Each match becomes an indicator by the peer that flagged it, this lab's sighting of the indicator, and, for
some reasons of the label, a campaign or an infrastructure that it indicates. The writer writes an object
before the first one that refers to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TextIO

from mandorla_protocol.labels import Reason

from .export_author import Author
from .json_stream import Json
from .matches import FoundMatch
from .rows import LAST_SECOND, name_of, rfc3339
from .stix_patterns import PatternError, read_pattern, write_pattern
from .stix_reader import LABEL_EXTENSION
from .tlp import STIX_MARKINGS, marking_definition

_MAKER: Final = "identity--2f1b7f4e-3c5a-4b0e-8f55-5a0c7d1e9b42"
_PUBLISHED: Final = "2026-01-01T00:00:00.000Z"

_VOCABULARY: Final[list[dict[str, Json]]] = [
    {
        "type": "identity",
        "spec_version": "2.1",
        "id": _MAKER,
        "created": _PUBLISHED,
        "modified": _PUBLISHED,
        "name": "Mandorla",
        "identity_class": "system",
    },
    {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": LABEL_EXTENSION,
        "created_by_ref": _MAKER,
        "created": _PUBLISHED,
        "modified": _PUBLISHED,
        "name": "Mandorla label",
        "description": "Why a lab flagged an indicator (reason), how much harm it saw (severity), and which "
        "thing it is a fingerprint of (group).",
        "schema": "docs/formats.md",
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    },
]


@dataclass(frozen=True, slots=True)
class _Context:
    """The object that an indicator with a certain reason indicates."""

    type: str
    name: str
    infrastructure: str = ""


_CONTEXTS: Final = {
    Reason.DISTILLATION: _Context("campaign", "Adversarial distillation"),
    Reason.PAYMENT_FRAUD: _Context("campaign", "Payment fraud"),
    Reason.DISPOSABLE_IDENTITY: _Context("infrastructure", "Disposable identities", "unknown"),
    Reason.PROXY_INFRASTRUCTURE: _Context("infrastructure", "Proxies", "anonymization"),
}
_KINDS: Final = {
    Reason.UNSPECIFIED: "unknown",
    Reason.DISPOSABLE_IDENTITY: "anomalous-activity",
    Reason.PROXY_INFRASTRUCTURE: "anonymization",
}


def write_stix(matches: Iterable[FoundMatch], target: TextIO, author: Author) -> int:
    """Write a bundle, one match in memory at a time; return the number of matches left out.

    The bundle leaves out the matches of groups, whose ids only this lab understands, and matches whose
    patterns would not read back as the same indicator.
    """
    bundle = _Bundle(target, author)
    for definition in _VOCABULARY:
        bundle.put(definition)
    bundle.put(bundle.identity(f"identity--{author.identity_id()}", author.name))
    left_out = 0
    for match in matches:
        left_out += not bundle.add(match)
    bundle.close()
    return left_out


class _Bundle:
    """The writer of one bundle."""

    def __init__(self, target: TextIO, author: Author) -> None:
        self._target = target
        self._author = author
        self._written: set[str] = set()
        self._separator = ""
        bundle = author.id_of("bundle", str(author.now))
        target.write(f'{{"type": "bundle", "id": "bundle--{bundle}", "objects": [')

    def close(self) -> None:
        """End the bundle."""
        self._target.write("\n]}\n")

    def put(self, stix_object: dict[str, Json]) -> str:
        """Write an object, unless it was written before; return its id."""
        name = str(stix_object["id"])
        if name not in self._written:
            self._target.write(f"{self._separator}\n  {json.dumps(stix_object, ensure_ascii=False)}")
            self._separator = ","
            # Objects of a match are written once only, and millions of their ids would fill the memory.
            if stix_object["type"] not in ("indicator", "sighting", "relationship"):
                self._written.add(name)
        return name

    def add(self, match: FoundMatch) -> bool:
        """Write the objects of a match; return whether the match is in the bundle."""
        if match.group:
            return False
        pattern = write_pattern(match.type, match.value)
        try:
            if read_pattern(pattern) != [(match.type, match.value)]:
                return False
        except PatternError:
            return False
        author, label = self._author, match.label
        peer = self.put(self.identity(f"identity--{author.id_of('peer', match.peer)}", match.peer))
        self.put(marking_definition(label.tlp))
        marked: dict[str, Json] = {"object_marking_refs": [STIX_MARKINGS[label.tlp]]}
        indicator = self.put(self._indicator(match, pattern, peer) | marked)
        sighting: dict[str, Json] = self._common("sighting", match, f"identity--{author.identity_id()}") | {
            "first_seen": _time(match.first_matched),
            "last_seen": _time(match.first_matched),
            "count": 1,
            "sighting_of_ref": indicator,
            "where_sighted_refs": [f"identity--{author.identity_id()}"],
        }
        self.put(sighting | marked)
        if context := _CONTEXTS.get(label.reason):
            relationship: dict[str, Json] = self._common("relationship", match, peer) | {
                "relationship_type": "indicates",
                "source_ref": indicator,
                "target_ref": self.put(self._context(context, match.peer, peer)),
            }
            self.put(relationship | marked)
        return True

    def identity(self, name: str, lab: str) -> dict[str, Json]:
        """Return the identity of a lab."""
        return {
            "type": "identity",
            "spec_version": "2.1",
            "id": name,
            "created": _PUBLISHED,
            "modified": _PUBLISHED,
            "name": lab,
            "identity_class": "organization",
        }

    def _indicator(self, match: FoundMatch, pattern: str, peer: str) -> dict[str, Json]:
        label = match.label
        start = label.first_seen or match.first_matched
        until: dict[str, Json] = {}
        if label.expires:
            # STIX requires valid_until after valid_from; a peer's label may have any times.
            end = min(label.expires, LAST_SECOND)
            start = max(0, min(start, end - 1))
            until = {"valid_until": _time(max(end, start + 1))}
        return (
            self._common("indicator", match, peer)
            | {
                "name": f"{match.type} that {match.peer} flagged",
                "description": f"Flagged by {match.peer}; matched in a {match.kind} round of Mandorla.",
                "indicator_types": [_KINDS.get(label.reason, "malicious-activity")],
                "pattern": pattern,
                "pattern_type": "stix",
                "pattern_version": "2.1",
                "valid_from": _time(start),
                "confidence": label.confidence,
                "extensions": {
                    LABEL_EXTENSION: {
                        "extension_type": "property-extension",
                        "reason": name_of(label.reason),
                        "severity": name_of(label.severity),
                    }
                },
            }
            | until
        )

    def _context(self, context: _Context, peer_name: str, peer: str) -> dict[str, Json]:
        named: dict[str, Json] = {
            "type": context.type,
            "spec_version": "2.1",
            "id": f"{context.type}--{self._author.id_of('context', context.name, peer_name)}",
            "created_by_ref": peer,
            "created": _PUBLISHED,
            "modified": _PUBLISHED,
            "name": context.name,
            "description": f"What {peer_name} flags for this reason.",
        }
        return named | ({"infrastructure_types": [context.infrastructure]} if context.infrastructure else {})

    def _common(self, kind: str, match: FoundMatch, creator: str) -> dict[str, Json]:
        return {
            "type": kind,
            "spec_version": "2.1",
            "id": f"{kind}--{self._author.match_id(kind, match)}",
            "created_by_ref": creator,
            "created": _time(match.first_matched),
            "modified": _time(max(match.first_matched, self._author.now)),
        }


def _time(seconds: int) -> str:
    return rfc3339(seconds).replace("Z", ".000Z")
