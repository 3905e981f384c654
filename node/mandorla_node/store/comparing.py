"""Own tags against the tables of peers: a merge of sorted columns, so that millions take seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from mandorla_protocol.header import Kind
from mandorla_protocol.labels import TAG_SIZE, LabelKey
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import Operation, TableEntry, TablePart

from .asking import AskedEpoch
from .database import Database
from .schema import ASKED_EPOCHS, FLAGGED, OBSERVED, OWN_TAGS, PEER_PAGES

_ROWS = 16_384
_KEY_SIZE = 32


class Candidate(NamedTuple):
    """The newest entry of a verified table whose tag is that of an own indicator."""

    indicator_id: int
    label_key: LabelKey
    entry: TableEntry

    def __repr__(self) -> str:
        # The key opens what the peer says of the indicator.
        return f"Candidate(indicator_id={self.indicator_id})"


class _Own(NamedTuple):
    """Own tags in the order of their values, and where in the other columns each belongs."""

    tags: NDArray[np.bytes_]
    order: NDArray[np.int64]
    indicators: NDArray[np.int64]
    label_keys: bytes

    def __repr__(self) -> str:
        return f"_Own(tags={len(self.tags)})"


class Comparing:
    """What the verified tables of peers say of this lab's indicators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def candidates(self, asked: AskedEpoch, kind: Kind) -> Iterator[list[Candidate]]:
        """Yield what a peer's verified table says of this lab's flagged or observed indicators.

        An indicator whose newest entry is a revocation is left out. Memory holds 80 bytes or so for each
        own tag, and one page of the table.
        """
        with self._database.read() as connection:
            own = _own_tags(connection, asked, kind)
            newest = _newest_entries(connection, asked, own)
            by_page: dict[int, list[tuple[int, int]]] = defaultdict(list)
            for position, (leaf, index) in newest.items():
                by_page[leaf].append((position, index))
            for leaf, found in sorted(by_page.items()):
                yield list(_found_on(_page(connection, asked, leaf), own, found))


def _own_tags(connection: Connection, asked: AskedEpoch, kind: Kind) -> _Own:
    members = FLAGGED if kind is Kind.SHARED else OBSERVED
    result = connection.execution_options(yield_per=_ROWS).execute(
        select(OWN_TAGS.c.indicator_id, OWN_TAGS.c.tag, OWN_TAGS.c.label_key)
        .join(members, members.c.indicator_id == OWN_TAGS.c.indicator_id)
        .where(OWN_TAGS.c.epoch_id == asked.id, OWN_TAGS.c.pending == 0)
    )
    indicators, tags, keys = [np.empty(0, np.int64)], bytearray(), bytearray()
    for rows in result.partitions():
        numbers, some_tags, some_keys = zip(*rows, strict=True)
        indicators.append(np.array(numbers, np.int64))
        tags += b"".join(some_tags)
        keys += b"".join(some_keys)
    column = np.frombuffer(bytes(tags), f"S{TAG_SIZE}")
    order = np.argsort(column, kind="stable")
    return _Own(column[order], order, np.concatenate(indicators), bytes(keys))


def _newest_entries(connection: Connection, asked: AskedEpoch, own: _Own) -> dict[int, tuple[int, int]]:
    """Find, by the position of an own tag, page and place of its newest entry, if that is an addition."""
    newest: dict[int, tuple[int, int]] = {}
    if not len(own.tags):
        return newest
    # Entries beyond it were read, and are not verified.
    frontier = connection.scalars(select(ASKED_EPOCHS.c.frontier).where(ASKED_EPOCHS.c.id == asked.id)).one()
    verified = PEER_PAGES.c.leaf < Frontier.decode(frontier).size
    pages = connection.execution_options(yield_per=1).execute(
        select(PEER_PAGES.c.leaf, PEER_PAGES.c.operations, PEER_PAGES.c.tags)
        .where(PEER_PAGES.c.epoch_id == asked.id, verified)
        .order_by(PEER_PAGES.c.leaf)
    )
    for leaf, operations, tags in pages:
        theirs = np.frombuffer(tags, f"S{TAG_SIZE}")
        positions = np.minimum(np.searchsorted(own.tags, theirs), len(own.tags) - 1)
        for index in np.nonzero(own.tags[positions] == theirs)[0].tolist():
            position = int(positions[index])
            if operations[index] == Operation.ADD:
                newest[position] = (leaf, index)
            else:
                newest.pop(position, None)
    return newest


def _page(connection: Connection, asked: AskedEpoch, leaf: int) -> TablePart:
    columns = (PEER_PAGES.c.version, PEER_PAGES.c.operations, PEER_PAGES.c.tags, PEER_PAGES.c.sealed)
    page = select(*columns).where(PEER_PAGES.c.epoch_id == asked.id, PEER_PAGES.c.leaf == leaf)
    return TablePart(*connection.execute(page).one())


def _found_on(part: TablePart, own: _Own, found: list[tuple[int, int]]) -> Iterator[Candidate]:
    places = own.order[[position for position, _ in found]]
    numbers = own.indicators[places].tolist()
    for place, number, (_, index) in zip(places.tolist(), numbers, found, strict=True):
        key = LabelKey(own.label_keys[place * _KEY_SIZE : (place + 1) * _KEY_SIZE])
        yield Candidate(number, key, part.entry(index))
