"""The comparison of own tags with a peer's table, on sorted columns: seconds for millions of tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from mandorla_protocol.header import RoundKind
from mandorla_protocol.labels import LABEL_KEY_SIZE, SEALED_LABEL_SIZE, TAG_SIZE
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import Operation, TablePart

from .database import Database
from .labels import LabelStore
from .peer_epoch import PeerEpoch
from .schema import ASKED_EPOCHS, FLAGGED, OBSERVED, OWN_TAGS, PEER_PAGES

_ROWS = 16_384


class Candidates(NamedTuple):
    """The entries of one page of a verified table that add tags of own indicators, in columns."""

    version: int
    indicator_ids: list[int]
    label_keys: bytes
    tags: bytes
    sealed: bytes

    def __repr__(self) -> str:
        # The keys decrypt the peer's labels of the indicators.
        return f"Candidates(indicators={len(self.indicator_ids)})"


class _Own(NamedTuple):
    """Own tags, sorted; `order` gives the position of each in the columns `indicators` and `label_keys`."""

    tags: NDArray[np.bytes_]
    order: NDArray[np.int64]
    indicators: NDArray[np.int64]
    label_keys: bytes

    def __repr__(self) -> str:
        return f"_Own(tags={len(self.tags)})"


class Matcher:
    """Compare this lab's indicators with the verified tables of peers."""

    def __init__(self, database: Database, labels: LabelStore) -> None:
        self._database = database
        self._labels = labels

    def candidates(self, peer_epoch: PeerEpoch, kind: RoundKind) -> Iterator[Candidates]:
        """Yield the entries of a peer's verified table for this lab's flagged or observed indicators.

        Each indicator appears once, with its newest entry, unless that entry revokes it. Memory: about 100
        bytes for each own tag, and one page of the table.
        """
        with self._database.read() as connection:
            own = _own_tags(connection, peer_epoch, kind, self._labels)
            leaves, places = _newest_entries(connection, peer_epoch, own)
            found = np.nonzero(leaves >= 0)[0]
            found = found[np.argsort(leaves[found], kind="stable")]
            if not len(found):
                return
            on_page = np.nonzero(np.diff(leaves[found]))[0] + 1
            for positions in np.split(found, on_page):
                part = _page(connection, peer_epoch, int(leaves[positions[0]]))
                yield _found_on(part, own, positions, places[positions])


def _own_tags(connection: Connection, peer_epoch: PeerEpoch, kind: RoundKind, labels: LabelStore) -> _Own:
    members = FLAGGED if kind is RoundKind.SHARED else OBSERVED
    halves = select(ASKED_EPOCHS.c.halves).where(ASKED_EPOCHS.c.id == peer_epoch.id).scalar_subquery()
    result = connection.execution_options(yield_per=_ROWS).execute(
        select(OWN_TAGS.c.indicator_id, OWN_TAGS.c.tag, OWN_TAGS.c.label_key)
        .join(members, members.c.indicator_id == OWN_TAGS.c.indicator_id)
        .where(OWN_TAGS.c.epoch_id == peer_epoch.id, OWN_TAGS.c.half <= halves)
        .order_by(OWN_TAGS.c.indicator_id)
    )
    indicators, tags, keys = [np.empty(0, np.int64)], bytearray(), bytearray()
    for rows in result.partitions():
        numbers, some_tags, some_keys = zip(*rows, strict=True)
        indicators.append(np.array(numbers, np.int64))
        tags += b"".join(some_tags)
        keys += labels.mask(peer_epoch, indicators[-1], b"".join(some_keys))
    column = np.frombuffer(bytes(tags), f"S{TAG_SIZE}")
    order = np.argsort(column, kind="stable")
    return _Own(column[order], order, np.concatenate(indicators), bytes(keys))


def _newest_entries(
    connection: Connection, peer_epoch: PeerEpoch, own: _Own
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the page (its first leaf) and the place on it of each own tag's newest entry.

    The page is -1 for a tag that has no entry, or whose newest entry revokes it.
    """
    leaves, places = np.full(len(own.tags), -1, np.int64), np.zeros(len(own.tags), np.int64)
    if not len(own.tags):
        return leaves, places
    # The pages beyond the frontier are stored but not verified yet.
    frontier = connection.scalars(
        select(ASKED_EPOCHS.c.frontier).where(ASKED_EPOCHS.c.id == peer_epoch.id)
    ).one()
    verified = PEER_PAGES.c.leaf < Frontier.decode(frontier).size
    pages = connection.execution_options(yield_per=1).execute(
        select(PEER_PAGES.c.leaf, PEER_PAGES.c.operations, PEER_PAGES.c.tags)
        .where(PEER_PAGES.c.epoch_id == peer_epoch.id, verified)
        .order_by(PEER_PAGES.c.leaf)
    )
    for leaf, operations, tags in pages:
        # A page holds entries of one version, so a tag occurs on it once. Later pages overwrite earlier ones:
        # the newest entry of a tag wins.
        theirs = np.frombuffer(tags, own.tags.dtype)
        positions = np.minimum(np.searchsorted(own.tags, theirs), len(own.tags) - 1)
        common = np.nonzero(own.tags[positions] == theirs)[0]
        adds = np.frombuffer(operations, np.uint8)[common] == Operation.ADD
        leaves[positions[common]] = np.where(adds, leaf, -1)
        places[positions[common]] = common
    return leaves, places


def _page(connection: Connection, peer_epoch: PeerEpoch, leaf: int) -> TablePart:
    columns = (PEER_PAGES.c.version, PEER_PAGES.c.operations, PEER_PAGES.c.tags, PEER_PAGES.c.sealed)
    page = select(*columns).where(PEER_PAGES.c.epoch_id == peer_epoch.id, PEER_PAGES.c.leaf == leaf)
    return TablePart(*connection.execute(page).one())


def _found_on(
    part: TablePart, own: _Own, positions: NDArray[np.int64], places: NDArray[np.int64]
) -> Candidates:
    columns = own.order[positions]
    keys = np.frombuffer(own.label_keys, f"V{LABEL_KEY_SIZE}")[columns]
    # Only additions have a sealed label: an entry's label is at its rank among the additions.
    additions = np.cumsum(np.frombuffer(part.operations, np.uint8) == Operation.ADD) - 1
    sealed = np.frombuffer(part.sealed, f"V{SEALED_LABEL_SIZE}")[additions[places]]
    return Candidates(
        version=part.version,
        indicator_ids=own.indicators[columns].tolist(),
        label_keys=keys.tobytes(),
        tags=own.tags[positions].tobytes(),
        sealed=sealed.tobytes(),
    )
