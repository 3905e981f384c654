"""Matches as a JSON list, or as JSON Lines, which `ingest` reads back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from .matches import FoundMatch


def write_json(matches: Iterable[FoundMatch], target: TextIO) -> None:
    """Write a list of objects, one on each line, with one object in memory."""
    separator = "["
    for match in matches:
        target.write(f"{separator}\n  {json.dumps(match.as_object(), ensure_ascii=False)}")
        separator = ","
    target.write("[]\n" if separator == "[" else "\n]\n")


def write_json_lines(matches: Iterable[FoundMatch], target: TextIO) -> None:
    """Write one object on each line, with the columns of CSV."""
    for match in matches:
        target.write(json.dumps(match.as_row(), ensure_ascii=False) + "\n")
