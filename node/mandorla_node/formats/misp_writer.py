"""Matches as a MISP event: an attribute for each match, with this lab's sighting, and the label in tags."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, TextIO

from mandorla_protocol.labels import Tlp

from .export_author import Author
from .json_stream import Json
from .matches import FoundMatch
from .misp_types import OTHER, TYPE_TAG, attribute_form, read_attribute
from .rows import name_of, rfc3339
from .tlp import name_of_level

_UNDEFINED: Final = "4"
_COMPLETED: Final = "2"
_THIS_ORGANISATION: Final = "0"
_AS_THE_EVENT: Final = "5"


def write_misp(matches: Iterable[FoundMatch], target: TextIO, author: Author) -> int:
    """Write an event, one match in memory at a time; return the number of matches left out.

    The event has the strictest TLP level of its attributes, and the distribution "this organisation only". It
    leaves out the matches of groups, whose ids only this lab understands, and matches whose attributes would
    not read back as the same indicator.
    """
    head: dict[str, Json] = {
        "uuid": str(author.id_of("event", str(author.now))),
        "info": f"Indicators of {author.name} that peers flagged (Mandorla)",
        "date": rfc3339(author.now)[:10],
        "timestamp": str(author.now),
        "threat_level_id": _UNDEFINED,
        "analysis": _COMPLETED,
        "distribution": _THIS_ORGANISATION,
        "published": False,
        "Orgc": {"name": author.name, "uuid": str(author.identity_id())},
    }
    target.write(f'{{"Event": {json.dumps(head, ensure_ascii=False)[:-1]}, "Attribute": [')
    separator, left_out, level = "", 0, Tlp.CLEAR
    for match in matches:
        attribute = _attribute(match, author)
        if attribute is None:
            left_out += 1
            continue
        target.write(f"{separator}\n  {json.dumps(attribute, ensure_ascii=False)}")
        separator, level = ",", max(level, match.label.tlp)
    target.write(f'\n], "Tag": [{json.dumps(_tag(f"tlp:{name_of_level(level)}"))}]}}}}\n')
    return left_out


def _attribute(match: FoundMatch, author: Author) -> dict[str, Json] | None:
    if match.group:
        return None
    label = match.label
    form = attribute_form(match.type, match.value)
    typed = match.type if form is OTHER else ""
    if read_attribute(form.type, match.value, typed) != [(match.type, match.value)]:
        return None
    tags = [f"tlp:{name_of_level(label.tlp)}"]
    machine_tags = {
        TYPE_TAG: typed,
        "mandorla:reason": name_of(label.reason),
        "mandorla:severity": name_of(label.severity),
        "mandorla:confidence": str(label.confidence),
        "mandorla:expires": rfc3339(label.expires) if label.expires else "",
    }
    tags += [f'{name}="{text}"' for name, text in machine_tags.items() if text]
    return {
        "uuid": str(author.match_id("attribute", match)),
        "type": form.type,
        "category": form.category,
        "value": match.value,
        "to_ids": True,
        "timestamp": str(author.now),
        "distribution": _AS_THE_EVENT,
        "comment": f"Flagged by {match.peer}; matched in a {match.kind} round of Mandorla.",
        "first_seen": rfc3339(label.first_seen or match.first_matched),
        "Tag": [_tag(name) for name in tags],
        "Sighting": [
            {
                "uuid": str(author.match_id("sighting", match)),
                "type": "0",
                "date_sighting": str(match.first_matched),
                "source": author.name,
            }
        ],
    }


def _tag(name: str) -> dict[str, Json]:
    return {"name": name}
