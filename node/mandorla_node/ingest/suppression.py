"""Keeping shared infrastructure out of flagged sets.

A public resolver, a cloud's range or a university that one attacker used is used by thousands of others, and
a match on it says nothing of any of them. Such indicators are held back when they are ingested as flagged,
and counted by list.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from mandorla_protocol.indicators import Indicator

from ..config.lab_settings import SuppressionSettings
from . import suppression_lists
from .suppression_index import Index

__all__ = ["Suppression", "Suppressor"]

_Facts = tuple[tuple[str, int, int], ...]


class Suppression:
    """What one ingest held back."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._masks: Counter[int] = Counter()

    def holds(self, indicator: Indicator) -> bool:
        """Say whether an indicator stands on a list, and count it if so."""
        mask = self._index.mask_of(indicator)
        if mask:
            self._masks[mask] += 1
        return bool(mask)

    @property
    def entries(self) -> int:
        """How many entries the lists have."""
        return len(self._index)

    @property
    def total(self) -> int:
        """How many rows were held back."""
        return self._masks.total()

    def by_list(self) -> dict[str, int]:
        """Return how many rows each list held back; a row that stands on several is counted for each."""
        return self._index.count(self._masks)


class Suppressor:
    """The lists of a lab's configuration, read when they are first needed and when a file has changed."""

    def __init__(self, home: Path, policy: SuppressionSettings) -> None:
        self._home = home
        self._policy = policy
        self._lock = threading.Lock()
        self._facts: _Facts | None = None
        self._index = Index()

    def begin(self) -> Suppression:
        """Return what an ingest asks; raises NodeError(BAD_CONFIG) if a list cannot be used."""
        with self._lock:
            allow = suppression_lists.allow_files(self._home, self._policy.allow_lists)
            facts = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in allow)
            if facts != self._facts:
                self._index = self._read(allow)
                self._facts = facts
            return Suppression(self._index)

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
