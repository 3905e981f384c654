"""The report of an ingest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from ..formats.rows import RejectedRow

MAX_REPORTED: Final = 1000
"""The number of rejected rows that are reported one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The numbers of rows that were added, known, duplicates within the ingest, rejected, or held back.

    A row that only adds its group to an indicator of another row counts as a duplicate. `held_by` counts the
    rows that were held back, by list.
    """

    added: int = 0
    known: int = 0
    duplicates: int = 0
    rejected: tuple[RejectedRow, ...] = ()
    rejected_total: int = 0
    held_back: int = 0
    held_by: dict[str, int] = field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, int]:
        """The numbers of rows by outcome, under the names that metrics give them."""
        return {
            "added": self.added,
            "known": self.known,
            "duplicate": self.duplicates,
            "rejected": self.rejected_total,
            "held_back": self.held_back,
        }

    def __add__(self, other: IngestReport) -> IngestReport:
        """Return the sum of two reports; of both, the first rejected rows by position stay."""
        rejected = sorted((*self.rejected, *other.rejected), key=lambda row: row.line)
        return IngestReport(
            added=self.added + other.added,
            known=self.known + other.known,
            duplicates=self.duplicates + other.duplicates,
            rejected=tuple(rejected[:MAX_REPORTED]),
            rejected_total=self.rejected_total + other.rejected_total,
            held_back=self.held_back + other.held_back,
            held_by=dict(Counter(self.held_by) + Counter(other.held_by)),
        )
