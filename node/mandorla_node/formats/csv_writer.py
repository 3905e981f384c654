"""Matches as CSV, which `ingest` reads back."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from .formulas import guard_formula
from .matches import COLUMNS, FoundMatch


def write_csv(matches: Iterable[FoundMatch], target: TextIO) -> None:
    """Write RFC 4180 CSV with a header.

    A field that a spreadsheet would take for a formula gets an apostrophe in front, which `ingest` removes.
    """
    writer = csv.writer(target)
    writer.writerow(COLUMNS)
    for match in matches:
        writer.writerow(
            [guard_formula(cell) if isinstance(cell, str) else cell for cell in match.as_row().values()]
        )
