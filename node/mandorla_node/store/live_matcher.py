"""The comparison during a standing round: a few new tags at a time, against millions in memory.

The indexes hold the first eight bytes of each tag. The store then confirms each hit by the whole tag.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence, Set
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, exists, func, select

from mandorla_protocol.labels import TAG_SIZE, LabelKey, Tag
from mandorla_protocol.table import Operation, TableEntry, TablePart

from .database import Database
from .labels import LabelStore
from .peer_epoch import PeerEpoch
from .schema import OBSERVED, OWN_TAGS, PEER_PAGES

_ROWS: Final = 16_384
_RECENT: Final = 65_536
_PREFIX: Final = np.dtype(">u8")


class PrefixIndex:
    """Numbers by the first eight bytes of tags: a sorted column, and a dictionary of later additions."""

    def __init__(self, prefixes: NDArray[np.uint64], numbers: NDArray[np.int64]) -> None:
        order = np.argsort(prefixes, kind="stable")
        self._prefixes, self._numbers = prefixes[order], numbers[order]
        self._recent: dict[int, list[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._prefixes) + self._count

    def add(self, prefixes: NDArray[np.uint64], numbers: Iterable[int]) -> None:
        """Add numbers; `find` returns the last added ones last."""
        for prefix, number in zip(prefixes.tolist(), numbers, strict=True):
            self._recent.setdefault(prefix, []).append(number)
            self._count += 1
        if self._count > _RECENT:
            recent = [(prefix, number) for prefix, numbers in self._recent.items() for number in numbers]
            new, numbers_of_new = zip(*recent, strict=True)
            merged = PrefixIndex(
                np.concatenate([self._prefixes, np.array(new, np.uint64)]),
                np.concatenate([self._numbers, np.array(numbers_of_new, np.int64)]),
            )
            self._prefixes, self._numbers = merged._prefixes, merged._numbers
            self._recent, self._count = {}, 0

    def find(self, prefixes: NDArray[np.uint64]) -> list[list[int]]:
        """Return, for each prefix, the numbers that have it, in the order in which they were added."""
        starts = np.searchsorted(self._prefixes, prefixes, "left")
        ends = np.searchsorted(self._prefixes, prefixes, "right")
        each = zip(starts.tolist(), ends.tolist(), prefixes.tolist(), strict=True)
        return [
            self._numbers[start:end].tolist() + self._recent.get(prefix, []) for start, end, prefix in each
        ]


class MatchUpdate(NamedTuple):
    """Own indicators whose matches change: observed ones that the table adds, with label key and entry.

    `revoked` lists observed and flagged indicators: a revocation also ends the matches of `shared` rounds.
    """

    added: list[tuple[int, LabelKey, TableEntry]]
    revoked: list[int]

    def __repr__(self) -> str:
        return f"MatchUpdate(added={len(self.added)}, revoked={len(self.revoked)})"


class LiveMatcher:
    """An epoch's own tags and the peer's table, in memory, for the length of a standing round.

    Memory: 16 bytes for each own tag and each entry. Thread-safe.
    """

    def __init__(self, database: Database, peer_epoch: PeerEpoch, labels: LabelStore) -> None:
        self._database = database
        self._peer_epoch = peer_epoch
        self._labels = labels
        self._lock = threading.Lock()
        with database.read() as connection:
            self._own = _own_index(connection, peer_epoch)
            self._table, revocations = _table_index(connection, peer_epoch)
        # An own indicator whose prefix some revocation has: only these can be revoked.
        self._maybe_revoked = {number for found in self._own.find(np.unique(revocations)) for number in found}

    def revoked(self, among: Set[int]) -> list[int]:
        """Return the own indicators among these whose newest entries, at construction, revoke them."""
        with self._lock, self._database.read() as connection:
            newest = {number: self._newest(connection, number) for number in self._maybe_revoked & among}
        return _update_of({number: entry for number, entry in newest.items() if entry is not None}).revoked

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of own tags, and the number of table entries."""
        return len(self._own), len(self._table)

    def add_entries(self, leaf: int, parts: Sequence[TablePart]) -> MatchUpdate:
        """Add verified entries, from a leaf index on; return the changes to matches."""
        with self._lock, self._database.read() as connection:
            newest: dict[int, tuple[LabelKey, TableEntry]] = {}
            for part in parts:
                prefixes = _prefixes(part.tags)
                self._table.add(prefixes, range(leaf, leaf + len(part)))
                for index, numbers in enumerate(self._own.find(prefixes)):
                    if numbers:
                        entry = part.entry(index)
                        for number, key in _owners(connection, self._peer_epoch.id, numbers, entry.tag):
                            newest[number] = (self._key(number, key), entry)
                leaf += len(part)
            changed = {
                number: (key, entry)
                for number, (key, entry) in newest.items()
                if entry.operation is Operation.REVOKE or _is_observed(connection, number)
            }
        return _update_of(changed)

    def add_own_indicators(self, indicator_ids: Sequence[int]) -> MatchUpdate:
        """Add observed indicators that have a tag now; return those that the table adds or revokes."""
        with self._lock, self._database.read() as connection:
            newest: dict[int, tuple[LabelKey, TableEntry]] = {}
            for number in indicator_ids:
                if (entry := self._newest(connection, number)) is not None:
                    newest[number] = entry
        return _update_of(newest)

    def _newest(self, connection: Connection, number: int) -> tuple[LabelKey, TableEntry] | None:
        """Find an own indicator's newest entry, and index its tag; None if the table has no entry for it."""
        own_tag = (OWN_TAGS.c.epoch_id == self._peer_epoch.id, OWN_TAGS.c.indicator_id == number)
        row = connection.execute(select(OWN_TAGS.c.tag, OWN_TAGS.c.label_key).where(*own_tag)).one_or_none()
        if row is None:
            return None  # retention deleted it meanwhile
        prefixes = _prefixes(row.tag)
        if number not in self._own.find(prefixes)[0]:
            self._own.add(prefixes, [number])
        for leaf in reversed(self._table.find(prefixes)[0]):
            entry = _entry(connection, self._peer_epoch.id, leaf)
            if entry.tag == row.tag:
                return self._key(number, row.label_key), entry
        return None

    def _key(self, number: int, masked: bytes) -> LabelKey:
        return LabelKey(self._labels.mask(self._peer_epoch, np.array([number], np.int64), masked))


def _update_of(newest: dict[int, tuple[LabelKey, TableEntry]]) -> MatchUpdate:
    added = [(n, key, entry) for n, (key, entry) in newest.items() if entry.operation is Operation.ADD]
    return MatchUpdate(
        sorted(added, key=itemgetter(0)),
        sorted(n for n, (_, entry) in newest.items() if entry.operation is Operation.REVOKE),
    )


def _prefixes(tags: bytes) -> NDArray[np.uint64]:
    """Return the first half of each of n joined tags."""
    return np.frombuffer(tags, _PREFIX)[:: TAG_SIZE // 8].astype(np.uint64)


def _own_index(connection: Connection, peer_epoch: PeerEpoch) -> PrefixIndex:
    result = connection.execution_options(yield_per=_ROWS).execute(
        select(OWN_TAGS.c.indicator_id, OWN_TAGS.c.tag).where(
            OWN_TAGS.c.epoch_id == peer_epoch.id, OWN_TAGS.c.half <= peer_epoch.halves
        )
    )
    numbers, prefixes = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for rows in result.partitions():
        ids, tags = zip(*rows, strict=True)
        numbers.append(np.array(ids, np.int64))
        prefixes.append(_prefixes(b"".join(tags)))
    return PrefixIndex(np.concatenate(prefixes), np.concatenate(numbers))


def _table_index(connection: Connection, peer_epoch: PeerEpoch) -> tuple[PrefixIndex, NDArray[np.uint64]]:
    """Return the index of a verified table, and the prefixes of its revocations."""
    pages = connection.execution_options(yield_per=1).execute(
        select(PEER_PAGES.c.leaf, PEER_PAGES.c.operations, PEER_PAGES.c.tags)
        .where(PEER_PAGES.c.epoch_id == peer_epoch.id, PEER_PAGES.c.leaf < peer_epoch.frontier.size)
        .order_by(PEER_PAGES.c.leaf)
    )
    leaves, prefixes, revocations = (
        [np.empty(0, np.int64)],
        [np.empty(0, np.uint64)],
        [np.empty(0, np.uint64)],
    )
    for leaf, operations, tags in pages:
        prefixes.append(_prefixes(tags))
        leaves.append(np.arange(leaf, leaf + len(operations), dtype=np.int64))
        revocations.append(prefixes[-1][np.frombuffer(operations, np.uint8) == Operation.REVOKE])
    return PrefixIndex(np.concatenate(prefixes), np.concatenate(leaves)), np.concatenate(revocations)


def _owners(
    connection: Connection, epoch_id: int, numbers: Sequence[int], tag: Tag
) -> list[tuple[int, bytes]]:
    rows = connection.execute(
        select(OWN_TAGS.c.indicator_id, OWN_TAGS.c.label_key).where(
            OWN_TAGS.c.epoch_id == epoch_id, OWN_TAGS.c.indicator_id.in_(numbers), OWN_TAGS.c.tag == tag
        )
    )
    return [(number, key) for number, key in rows]


def _is_observed(connection: Connection, number: int) -> bool:
    return bool(connection.scalar(select(exists().where(OBSERVED.c.indicator_id == number))))


def _entry(connection: Connection, epoch_id: int, leaf: int) -> TableEntry:
    of_epoch = PEER_PAGES.c.epoch_id == epoch_id
    page = select(func.max(PEER_PAGES.c.leaf)).where(of_epoch, PEER_PAGES.c.leaf <= leaf).scalar_subquery()
    columns = (PEER_PAGES.c.leaf, PEER_PAGES.c.version, PEER_PAGES.c.operations)
    row = connection.execute(
        select(*columns, PEER_PAGES.c.tags, PEER_PAGES.c.sealed).where(of_epoch, PEER_PAGES.c.leaf == page)
    ).one()
    return TablePart(row.version, row.operations, row.tags, row.sealed).entry(leaf - row.leaf)
