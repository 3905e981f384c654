"""Suppression: shared infrastructure is kept out of flagged sets.

Thousands of people use the public resolver, the cloud's range or the university that an attacker used. A
match on such an indicator is no evidence against any of them. So an ingest into the flagged set holds these
indicators back, and counts them by list.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from mandorla_protocol.indicators import Indicator

from ..config.lab_settings import SuppressionSettings
from ..store import IndicatorSet
from . import suppression_lists
from .suppression_index import Index

__all__ = ["Suppression", "Suppressor"]

_Facts = tuple[tuple[str, int, int], ...]


class Suppression:
    """The suppression of one ingest: it holds indicators back, and counts them."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._masks: Counter[int] = Counter()

    def holds(self, indicator: Indicator) -> bool:
        """Return whether an indicator is on a list, and count it if so."""
        mask = self._index.mask_of(indicator)
        if mask:
            self._masks[mask] += 1
        return bool(mask)

    @property
    def entries(self) -> int:
        """The number of entries of all lists."""
        return len(self._index)

    @property
    def total(self) -> int:
        """The number of rows that were held back."""
        return self._masks.total()

    def by_list(self) -> dict[str, int]:
        """Return the number of rows that each list held back; a row on several lists counts for each."""
        return self._index.count(self._masks)


class Suppressor:
    """The lists of a lab's configuration, read at the first ingest, and again when a file has changed."""

    def __init__(self, home: Path, policy: SuppressionSettings) -> None:
        self._home = home
        self._policy = policy
        self._lock = threading.Lock()
        self._facts: _Facts | None = None
        self._index = Index()

    def begin(self) -> Suppression:
        """Return the suppression of a new ingest; raises NodeError(BAD_CONFIG) if a list cannot be used."""
        with self._lock:
            allow = suppression_lists.allow_files(self._home, self._policy.allow_lists)
            facts = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in allow)
            if facts != self._facts:
                self._index = self._read(allow)
                self._facts = facts
            return Suppression(self._index)

    def suppression_for(self, target: IndicatorSet, suppress: bool) -> Suppression | None:
        """Return the suppression of a new ingest into a set, or None if there is none.

        Observed indicators are not judged, so any may be observed. Of flagged ones the operator may take all
        in, if `suppress` is off. Raises NodeError(BAD_CONFIG) as `begin` does.
        """
        return self.begin() if suppress and target is IndicatorSet.FLAGGED else None

    def _read(self, allow: list[Path]) -> Index:
        index = Index()
        if self._policy.builtin:
            suppression_lists.add_builtin(index)
        wanted = self._policy.warning_lists
        folder = suppression_lists.warning_lists()
        if folder is not None:
            for name in suppression_lists.DEFAULT_LISTS if wanted is None else wanted:
                suppression_lists.add_warning_list(index, folder, name)
        elif wanted:
            raise suppression_lists.missing()
        for path in allow:
            suppression_lists.add_allow_list(index, path)
        return index
