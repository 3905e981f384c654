"""An ingest: rows are canonicalised and stored, and bad rows reported by their position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.indicators import REGISTRY, Indicator

from ..formats.rows import IngestRow, RejectedRow
from ..store import IndicatorSet, LabelledIndicator, Store
from .report import MAX_REPORTED, IngestReport
from .suppression import Suppression

_GROUP: Final = re.compile(r"[!-~]{1,64}")


def require_group(name: str) -> None:
    """Raise InputError(BAD_INPUT) unless a text is a valid id of a group (SPEC A.5)."""
    if not _GROUP.fullmatch(name):
        raise InputError(Code.BAD_INPUT, "A group is 1 to 64 printable ASCII characters without spaces.")


class Ingestor:
    """One ingest: batches of rows, and a report at the end.

    A strict ingest keeps its rows in memory until it has seen them all, and stores nothing if one is bad.
    """

    def __init__(
        self,
        store: Store,
        target: IndicatorSet,
        strict: bool = False,
        suppression: Suppression | None = None,
        unit: str = "line",
    ) -> None:
        self._indicators = store.indicators
        self._target = target
        self._strict = strict
        self._unit = unit
        self._suppression = suppression
        self._id: int | None = None
        self._accepted = self._added = self._known = 0
        self._spool: list[LabelledIndicator] = []
        self._rejected: list[RejectedRow] = []
        self._rejected_total = 0

    def add(self, rows: Sequence[IngestRow]) -> list[Indicator]:
        """Ingest rows; return the indicators of the good ones."""
        good = []
        for row in rows:
            try:
                indicator = Indicator.parse(row.type, row.value)
                group = _group(row)
            except InputError as error:
                self.reject(RejectedRow(row.line, error.code, error.detail or error.code.info.message))
                continue
            if self._suppression is None or not self._suppression.holds(indicator):
                good.append(LabelledIndicator(indicator, row.label, group))
        self._accepted += len(good)
        if self._strict:
            self._spool += good
        else:
            self._store(good)
        return [labelled.indicator for labelled in good]

    def reject(self, row: RejectedRow) -> None:
        """Record a bad row."""
        self._rejected_total += 1
        if len(self._rejected) < MAX_REPORTED:
            self._rejected.append(row)

    def finish(self) -> IngestReport:
        """End the ingest.

        Raises InputError(BAD_ROWS) if it is strict and a row was rejected; then nothing was stored.
        """
        if self._strict and self._rejected:
            first = self._rejected[0]
            raise InputError(
                Code.BAD_ROWS,
                f"{self._rejected_total} bad rows, the first in {self._unit} {first.line}: {first.reason}",
            )
        self._store(self._spool)
        return IngestReport(
            added=self._added,
            known=self._known,
            duplicates=self._accepted - self._added - self._known,
            rejected=tuple(self._rejected),
            rejected_total=self._rejected_total,
            held_back=self._suppression.total if self._suppression else 0,
            held_by=self._suppression.by_list() if self._suppression else {},
        )

    def _store(self, rows: Sequence[LabelledIndicator]) -> None:
        if rows:
            counts = self._indicators.add(self._target, rows, self._id)
            self._id = counts.ingest_id
            self._added += counts.added
            self._known += counts.known


def _group(row: IngestRow) -> str:
    """Return the group of a row whose type is registered; empty for a type without groups (SPEC A.5).

    Raises InputError(BAD_INPUT) for an invalid id, and for a row that could never match without a group.
    """
    kind = REGISTRY[row.type]
    if not kind.grouped:
        return ""
    if not row.group:
        if kind.needed > 1:
            raise InputError(
                Code.BAD_INPUT, f"A single {kind.name} matches nothing, and the row names no group."
            )
    else:
        require_group(row.group)
    return row.group
