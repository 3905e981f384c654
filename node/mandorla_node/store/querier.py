"""This lab as a querier: its peers' key epochs and tables, and the tags of its own indicators in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from mandorla_protocol.engine import split
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, NodeError, RoundError
from mandorla_protocol.group import Element
from mandorla_protocol.indicators import Indicator, tokens_of
from mandorla_protocol.labels import LABEL_KEY_SIZE, TAG_SIZE
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import TableCommitment, TablePart, TableReader

from .bulk import insert_rows
from .database import Database
from .indicators import IS_INDICATOR, IndicatorSet, indicator_parameters
from .labels import LabelStore
from .peer_epoch import PeerEpoch
from .queries import highest
from .question_backlog import count_untagged, read_untagged
from .schema import ASKED_EPOCHS, INDICATORS, OBSERVED, OWN_TAGS, PEER_PAGES
from .table_pages import entries_from_leaf, insert_parts

_ROWS: Final = 16_384
_OWN_TAG = ("epoch_id", "indicator_id", "tag", "label_key", "half")


class NewlyObserved(NamedTuple):
    """Indicators of a range of changes of the observed set.

    `indicator_ids` and the joined `tokens` are those without a tag. `tagged` are the ids of the others: they
    have a tag already because this lab also flagged them.
    """

    indicator_ids: list[int]
    tokens: bytes
    tagged: list[int]

    def __repr__(self) -> str:
        # A token is a hash of an indicator, and whoever can guess the indicator can compute its token.
        return f"NewlyObserved(indicators={len(self.indicator_ids)})"


# Built once: a gateway waits for the answer, and building the statement takes longer than running it.
_COMPARED_WITH = (
    select(ASKED_EPOCHS.c.holder)
    .join_from(OWN_TAGS, ASKED_EPOCHS)
    .join(INDICATORS, INDICATORS.c.id == OWN_TAGS.c.indicator_id)
    .where(IS_INDICATOR, OWN_TAGS.c.half <= ASKED_EPOCHS.c.halves)
    .distinct()
)


class QuerierStore:
    """Key epochs of peers, own tags in them, and the peers' tables."""

    def __init__(self, database: Database, labels: LabelStore) -> None:
        self._database = database
        self._labels = labels

    def look_up(self, epoch: Epoch, public_key: Element) -> PeerEpoch:
        """Return a peer's epoch as the store has it, or a new one with id 0; store nothing.

        Raises RoundError: EPOCH_RETIRED if the peer went back to an earlier epoch, TABLE_MISMATCH if it
        changed the epoch's key.
        """
        with self._database.read() as connection:
            return _stored_epoch(connection, epoch, public_key)

    def begin(self, peer_epoch: PeerEpoch) -> PeerEpoch:
        """Begin a round in an epoch: store the epoch, and delete what an interrupted round left unverified.

        Raises RoundError(NOT_READY) if another round changed the epoch after `look_up`.
        """
        with self._database.write() as connection:
            if _stored_epoch(connection, peer_epoch.epoch, peer_epoch.public_key) != peer_epoch:
                raise RoundError(Code.NOT_READY, "an earlier round was still being recorded")
            if peer_epoch.id == 0:
                created = insert(ASKED_EPOCHS).values(
                    holder=peer_epoch.epoch.holder,
                    collection=peer_epoch.epoch.collection,
                    number=peer_epoch.epoch.number,
                    public_key=peer_epoch.public_key,
                    table_version=peer_epoch.verified.version,
                    frontier=peer_epoch.frontier.encode(),
                    halves=0,
                    begun=1,
                    masked=1,
                )
                # Otherwise a peer that begins epochs and breaks them off would fill the store with tables.
                epochs = _of_peer_and_collection(peer_epoch.epoch)
                newest = select(ASKED_EPOCHS).where(epochs).order_by(ASKED_EPOCHS.c.number.desc()).limit(1)
                if (previous := connection.execute(newest).one_or_none()) is not None:
                    _delete_unfinished(connection, previous)
                return replace(
                    peer_epoch, id=connection.execute(created.returning(ASKED_EPOCHS.c.id)).scalar_one()
                )
            row = connection.execute(select(ASKED_EPOCHS).where(ASKED_EPOCHS.c.id == peer_epoch.id)).one()
            _delete_unfinished(connection, row)
            if not row.masked:
                self._mask_all(connection, peer_epoch)
            is_epoch = ASKED_EPOCHS.c.id == peer_epoch.id
            connection.execute(update(ASKED_EPOCHS).where(is_epoch).values(begun=1, masked=1))
        return peer_epoch

    def _mask_all(self, connection: Connection, peer_epoch: PeerEpoch) -> None:
        """Mask the label keys of an epoch that an older version of the node stored in the clear."""
        in_epoch = OWN_TAGS.c.epoch_id == peer_epoch.id
        columns = select(OWN_TAGS.c.indicator_id, OWN_TAGS.c.label_key).where(in_epoch)
        after = -1
        while rows := connection.execute(
            columns.where(OWN_TAGS.c.indicator_id > after).order_by(OWN_TAGS.c.indicator_id).limit(_ROWS)
        ).all():
            ids, keys = zip(*rows, strict=True)
            masked = split(
                self._labels.mask(peer_epoch, np.array(ids, np.int64), b"".join(keys)), LABEL_KEY_SIZE
            )
            connection.execute(
                update(OWN_TAGS)
                .where(in_epoch, OWN_TAGS.c.indicator_id == bindparam("number"))
                .values(label_key=bindparam("key")),
                [{"number": number, "key": key} for number, key in zip(ids, masked, strict=True)],
            )
            after = ids[-1]

    def count_untagged(self, peer_epoch: PeerEpoch, source: IndicatorSet) -> tuple[int, int]:
        """Count the indicators of a set without a tag in an epoch; return the count and the highest id."""
        with self._database.read() as connection:
            return count_untagged(
                connection, peer_epoch.id, peer_epoch.halves, peer_epoch.epoch.collection, source
            )

    def untagged(
        self, peer_epoch: PeerEpoch, source: IndicatorSet, after: int, last: int, limit: int
    ) -> tuple[list[int], bytes]:
        """Return indicators without a tag in an epoch that was begun, by id, `after` < id <= `last`.

        They come as ids, and as joined tokens.
        """
        with self._database.read() as connection:
            return read_untagged(connection, peer_epoch, source, after, last, limit)

    def last_observed(self) -> int:
        """Return the number of the last change of the observed set, 0 before the first."""
        with self._database.read() as connection:
            return highest(connection, OBSERVED.c.change)

    def newly_observed(self, peer_epoch: PeerEpoch, after: int, until: int) -> NewlyObserved:
        """Return what the changes `after` < change <= `until` added to the observed set."""
        tagged = and_(
            OWN_TAGS.c.epoch_id == peer_epoch.id,
            OWN_TAGS.c.indicator_id == OBSERVED.c.indicator_id,
            OWN_TAGS.c.half <= peer_epoch.halves,
        )
        with self._database.read() as connection:
            rows = connection.execute(
                select(
                    OBSERVED.c.indicator_id,
                    INDICATORS.c.type,
                    INDICATORS.c.profile,
                    INDICATORS.c.value,
                    OWN_TAGS.c.tag,
                )
                .join_from(OBSERVED, INDICATORS)
                .outerjoin(OWN_TAGS, tagged)
                .where(
                    OBSERVED.c.change > after,
                    OBSERVED.c.change <= until,
                    INDICATORS.c.collection == peer_epoch.epoch.collection,
                )
                .order_by(OBSERVED.c.change, OBSERVED.c.indicator_id)
            ).all()
        new = [row for row in rows if row.tag is None]
        tagged_ids = [row.indicator_id for row in rows if row.tag is not None]
        return NewlyObserved([row[0] for row in new], tokens_of(row[1:4] for row in new), tagged_ids)

    def store_tags(
        self, peer_epoch: PeerEpoch, indicator_ids: Sequence[int], tags: bytes, label_keys: bytes
    ) -> None:
        """Store the joined tags and label keys of own indicators; they are pending until the half is done."""
        # A standing round sends indicators in the order of their observation; the mask needs ascending ids.
        order = np.argsort(np.array(indicator_ids, np.int64), kind="stable")
        ids = np.array(indicator_ids, np.int64)[order]
        sorted_tags = np.frombuffer(tags, f"V{TAG_SIZE}")[order].tobytes()
        sorted_keys = np.frombuffer(label_keys, f"V{LABEL_KEY_SIZE}")[order].tobytes()
        masked = split(self._labels.mask(peer_epoch, ids, sorted_keys), LABEL_KEY_SIZE)
        epoch_ids, halves = repeat(peer_epoch.id), repeat(peer_epoch.halves + 1)
        rows = list(zip(epoch_ids, ids.tolist(), split(sorted_tags, TAG_SIZE), masked, halves, strict=False))
        with self._database.write() as connection:
            insert_rows(connection, OWN_TAGS, _OWN_TAG, rows)

    def stage_entries(self, peer_epoch: PeerEpoch, start: int, parts: Sequence[TablePart]) -> None:
        """Store entries of the peer's table that are not verified yet; no comparison reads them."""
        with self._database.write() as connection:
            insert_parts(connection, peer_epoch.id, start, parts)

    def accept_table(self, peer_epoch: PeerEpoch, reader: TableReader, more: bool = False) -> PeerEpoch:
        """Accept the staged entries as the committed table, and the pending tags with them.

        `more` says that the round is a standing one, which goes on. The tags and tables of earlier epochs of
        the same peer and collection are deleted: no round uses them again.

        Raises NodeError(STORE_FAILED) if the staged entries are not those that the reader has read: the
        thread of a round that was stopped may still have written some.
        """
        earlier = select(ASKED_EPOCHS.c.id).where(
            ASKED_EPOCHS.c.holder == peer_epoch.epoch.holder,
            ASKED_EPOCHS.c.collection == peer_epoch.epoch.collection,
            ASKED_EPOCHS.c.number < peer_epoch.epoch.number,
        )
        with self._database.write() as connection:
            staged = entries_from_leaf(connection, PEER_PAGES, peer_epoch.id, peer_epoch.frontier.size)
            if staged != reader.position - peer_epoch.frontier.size:
                raise NodeError(Code.STORE_FAILED, "an earlier round left pages behind")
            for table in (OWN_TAGS, PEER_PAGES):
                connection.execute(delete(table).where(table.c.epoch_id.in_(earlier)))
            connection.execute(
                update(ASKED_EPOCHS)
                .where(ASKED_EPOCHS.c.id == peer_epoch.id)
                .values(
                    table_version=reader.version,
                    frontier=reader.frontier.encode(),
                    halves=peer_epoch.halves + 1,
                    begun=int(more),
                )
            )
        return replace(
            peer_epoch, verified=reader.committed, frontier=reader.frontier, halves=peer_epoch.halves + 1
        )

    def mark_finished(self, peer_epoch: PeerEpoch) -> None:
        """Record that a standing round left nothing unfinished in an epoch."""
        with self._database.write() as connection:
            connection.execute(update(ASKED_EPOCHS).where(ASKED_EPOCHS.c.id == peer_epoch.id).values(begun=0))

    def peers_compared_with(self, indicator: Indicator) -> list[LabId]:
        """Return the peers with whose table an indicator was compared."""
        with self._database.read() as connection:
            return [
                LabId(holder)
                for holder in connection.scalars(_COMPARED_WITH, indicator_parameters(indicator))
            ]


def _of_peer_and_collection(epoch: Epoch) -> ColumnElement[bool]:
    return and_(ASKED_EPOCHS.c.holder == epoch.holder, ASKED_EPOCHS.c.collection == epoch.collection)


def _delete_unfinished(connection: Connection, row: Row[tuple[object, ...]]) -> None:
    """Delete the pending tags and the unverified pages of an epoch, given its row."""
    verified = Frontier.decode(row.frontier).size
    if row.begun:
        unfinished = and_(OWN_TAGS.c.epoch_id == row.id, OWN_TAGS.c.half > row.halves)
        connection.execute(delete(OWN_TAGS).where(unfinished))
    unverified = and_(PEER_PAGES.c.epoch_id == row.id, PEER_PAGES.c.leaf >= verified)
    connection.execute(delete(PEER_PAGES).where(unverified))


def _stored_epoch(connection: Connection, epoch: Epoch, public_key: Element) -> PeerEpoch:
    epochs = _of_peer_and_collection(epoch)
    newest = connection.scalar(select(func.max(ASKED_EPOCHS.c.number)).where(epochs))
    if newest is not None and newest > epoch.number:
        raise RoundError(Code.EPOCH_RETIRED, "the peer offers an epoch before the last one")
    row = connection.execute(
        select(ASKED_EPOCHS).where(epochs, ASKED_EPOCHS.c.number == epoch.number)
    ).one_or_none()
    if row is None:
        return PeerEpoch(0, epoch, public_key, TableCommitment(), Frontier())
    if row.public_key != public_key:
        raise RoundError(Code.TABLE_MISMATCH, "the peer changed the key of an epoch")
    frontier = Frontier.decode(row.frontier)
    verified = TableCommitment(row.table_version, frontier.size, frontier.root)
    return PeerEpoch(row.id, epoch, public_key, verified, frontier, row.halves)
