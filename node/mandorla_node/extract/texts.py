"""The stage that parses single texts: each distinct text, as each indicator type of its column."""

from __future__ import annotations

from mandorla_protocol.errors import InputError
from mandorla_protocol.indicators import Indicator

from .parts import OUT, SortedRuns, read_part
from .plan import TEXT_TYPES, Plan


def parse_texts(plan: Plan, part: int) -> int:
    """Write the indicators of the texts of a part; return the number of texts that are no indicator."""
    frame = read_part(plan.work, "texts", part)
    if frame is None:
        return 0
    refused = 0
    with SortedRuns(plan.work, "out", f"texts-{part:04}", OUT) as out:
        for column, text in frame.unique().iter_rows():
            found = [
                value
                for name, at in TEXT_TYPES
                if at == column and name in plan.types
                for value in _parse(name, text)
            ]
            out.add(found)
            refused += not found
    return refused


def _parse(name: str, text: str) -> list[tuple[str, str, str]]:
    parsed = text.rpartition("@")[2] if name == "mail-domain" else text
    try:
        return [(name, Indicator.parse(name, parsed).value, "")]
    except InputError:
        return []
