"""A reader of systemd's unit files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

SYSTEMD = Path(__file__).parents[2] / "node/packaging/systemd"
UNIT = SYSTEMD / "mandorla@.service"

Unit = dict[str, dict[str, list[str]]]
"""Sections, their keys, and the values that each was given."""


def read_unit(path: Path) -> Unit:
    """Read a unit's file. Raises ValueError for a line that is none."""
    unit: Unit = {}
    section: dict[str, list[str]] = {}
    for line in map(str.strip, path.read_text().splitlines()):
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = unit.setdefault(line[1:-1], defaultdict(list))
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(line)
        section[key].append(value)
    return unit
