"""What this lab knows as a querier: tags of its own indicators, and the tables of its peers."""

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
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
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
from .schema import ASKED_EPOCHS, FLAGGED, INDICATORS, OBSERVED, OWN_TAGS, PEER_PAGES
from .table_pages import entries_from_leaf, insert_parts

_ROWS: Final = 16_384
_OWN_TAG = ("epoch_id", "indicator_id", "tag", "label_key", "half")


class NewlyObserved(NamedTuple):
    """Indicators that were observed lately: ids, and tokens, joined, of those without a tag; ids of the rest.

    Those with a tag were asked about before they were observed, because they are flagged.
    """

    indicator_ids: list[int]
    tokens: bytes
    tagged: list[int]

    def __repr__(self) -> str:
        # Tokens are as good as indicators to whoever can guess.
        return f"NewlyObserved(indicators={len(self.indicator_ids)})"


# Made once: a gateway waits for it, and making it takes longer than running it.
_COMPARED_WITH = (
    select(ASKED_EPOCHS.c.holder)
    .join_from(OWN_TAGS, ASKED_EPOCHS)
    .join(INDICATORS, INDICATORS.c.id == OWN_TAGS.c.indicator_id)
    .where(IS_INDICATOR, OWN_TAGS.c.half <= ASKED_EPOCHS.c.halves)
    .distinct()
)


class QuerierStore:
    """Epochs of peers, own tags in them, and the peers' tables."""

    def __init__(self, database: Database, said: LabelStore) -> None:
        self._database = database
        self._said = said

    def look_up(self, epoch: Epoch, public_key: Element) -> PeerEpoch:
        """Return what is known of a peer's epoch, and store nothing.

        Raises RoundError: EPOCH_RETIRED if the peer went back to an earlier epoch, TABLE_MISMATCH if it
        changed the epoch's key.
        """
        with self._database.read() as connection:
            return _known(connection, epoch, public_key)

    def begin(self, asked: PeerEpoch) -> PeerEpoch:
        """Begin to ask in an epoch: store it, and forget what interrupted rounds left unverified.

        Raises RoundError(NOT_READY) if such a round has changed the epoch since it was looked up.
        """
        with self._database.write() as connection:
            if _known(connection, asked.epoch, asked.public_key) != asked:
                raise RoundError(Code.NOT_READY, "an earlier round was still being recorded")
            if asked.id == 0:
                created = insert(ASKED_EPOCHS).values(
                    holder=asked.epoch.holder,
                    collection=asked.epoch.collection,
                    number=asked.epoch.number,
                    public_key=asked.public_key,
                    table_version=asked.verified.version,
                    frontier=asked.frontier.encode(),
                    halves=0,
                    begun=1,
                    masked=1,
                )
                # Or a peer could leave a table behind with each epoch that it begins and breaks off.
                before = select(ASKED_EPOCHS).where(_mine(asked.epoch)).order_by(ASKED_EPOCHS.c.number.desc())
                if (last := connection.execute(before.limit(1)).one_or_none()) is not None:
                    _forget_unfinished(connection, last)
                return replace(
                    asked, id=connection.execute(created.returning(ASKED_EPOCHS.c.id)).scalar_one()
                )
            row = connection.execute(select(ASKED_EPOCHS).where(ASKED_EPOCHS.c.id == asked.id)).one()
            _forget_unfinished(connection, row)
            if not row.masked:
                self._mask_all(connection, asked)
            mine = ASKED_EPOCHS.c.id == asked.id
            connection.execute(update(ASKED_EPOCHS).where(mine).values(begun=1, masked=1))
        return asked

    def _mask_all(self, connection: Connection, asked: PeerEpoch) -> None:
        """Mask the label keys of an epoch that were kept in the clear, by an older version."""
        mine = OWN_TAGS.c.epoch_id == asked.id
        columns = select(OWN_TAGS.c.indicator_id, OWN_TAGS.c.label_key).where(mine)
        after = -1
        while rows := connection.execute(
            columns.where(OWN_TAGS.c.indicator_id > after).order_by(OWN_TAGS.c.indicator_id).limit(_ROWS)
        ).all():
            ids, keys = zip(*rows, strict=True)
            masked = split(self._said.masked(asked, np.array(ids, np.int64), b"".join(keys)), LABEL_KEY_SIZE)
            connection.execute(
                update(OWN_TAGS)
                .where(mine, OWN_TAGS.c.indicator_id == bindparam("number"))
                .values(label_key=bindparam("key")),
                [{"number": number, "key": key} for number, key in zip(ids, masked, strict=True)],
            )
            after = ids[-1]

    def count_untagged(self, asked: PeerEpoch, source: IndicatorSet) -> tuple[int, int]:
        """Count the indicators of a set that have no tag in an epoch; return the count and the highest id.

        A pending tag is none: what an interrupted round left is forgotten when the next one begins.
        """
        with self._database.read() as connection:
            # Not a condition on the joined tags, which would look up the row of each: the index suffices now.
            pending = select(OWN_TAGS.c.indicator_id).where(
                OWN_TAGS.c.epoch_id == asked.id, OWN_TAGS.c.half > asked.halves
            )
            untagged = or_(OWN_TAGS.c.indicator_id.is_(None), INDICATORS.c.id.in_(pending))
            statement = self._members(asked, source).where(untagged)
            ids = statement.with_only_columns(INDICATORS.c.id).subquery()
            count, highest = connection.execute(
                select(func.count(), func.coalesce(func.max(ids.c.id), 0)).select_from(ids)
            ).one()
        return count, highest

    def untagged(
        self, asked: PeerEpoch, source: IndicatorSet, after: int, last: int, limit: int
    ) -> tuple[list[int], bytes]:
        """Return indicators that have no tag in an epoch that was begun, by id, `after` < id <= `last`.

        They come as ids, and as tokens, joined.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                self._members(asked, source)
                .where(OWN_TAGS.c.indicator_id.is_(None), INDICATORS.c.id > after, INDICATORS.c.id <= last)
                .order_by(INDICATORS.c.id)
                .limit(limit)
            ).all()
        return [row[0] for row in rows], tokens_of(row[1:] for row in rows)

    def last_observed(self) -> int:
        """Return the number of the last change of the observed set."""
        with self._database.read() as connection:
            return int(connection.scalar(select(func.coalesce(func.max(OBSERVED.c.change), 0))) or 0)

    def newly_observed(self, asked: PeerEpoch, after: int, until: int) -> NewlyObserved:
        """Return what was observed by the changes after one, up to another."""
        tagged = and_(
            OWN_TAGS.c.epoch_id == asked.id,
            OWN_TAGS.c.indicator_id == OBSERVED.c.indicator_id,
            OWN_TAGS.c.half <= asked.halves,
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
                    INDICATORS.c.collection == asked.epoch.collection,
                )
                .order_by(OBSERVED.c.change, OBSERVED.c.indicator_id)
            ).all()
        new = [row for row in rows if row.tag is None]
        tagged_ids = [row.indicator_id for row in rows if row.tag is not None]
        return NewlyObserved([row[0] for row in new], tokens_of(row[1:4] for row in new), tagged_ids)

    def store_tags(
        self, asked: PeerEpoch, indicator_ids: Sequence[int], tags: bytes, label_keys: bytes
    ) -> None:
        """Keep tags and label keys of own indicators, both joined, pending until the half is done."""
        # They come in the order in which they were observed, and are masked in that of their ids.
        order = np.argsort(np.array(indicator_ids, np.int64), kind="stable")
        ids = np.array(indicator_ids, np.int64)[order]
        sorted_tags = np.frombuffer(tags, f"V{TAG_SIZE}")[order].tobytes()
        sorted_keys = np.frombuffer(label_keys, f"V{LABEL_KEY_SIZE}")[order].tobytes()
        masked = split(self._said.masked(asked, ids, sorted_keys), LABEL_KEY_SIZE)
        same = repeat(asked.id), repeat(asked.halves + 1)
        rows = list(zip(same[0], ids.tolist(), split(sorted_tags, TAG_SIZE), masked, same[1], strict=False))
        with self._database.write() as connection:
            insert_rows(connection, OWN_TAGS, _OWN_TAG, rows)

    def stage_entries(self, asked: PeerEpoch, start: int, parts: Sequence[TablePart]) -> None:
        """Keep entries of the peer's table that are not verified yet: nothing matches them."""
        with self._database.write() as connection:
            insert_parts(connection, asked.id, start, parts)

    def accept_table(self, asked: PeerEpoch, reader: TableReader, more: bool = False) -> PeerEpoch:
        """Take the staged entries for the committed table, and the pending tags with them.

        `more` says that the round stands, and that more will come.

        Earlier epochs of the same peer and collection are forgotten: nothing will be asked in them again.
        Raises NodeError(STORE_FAILED) if other pages are there than the reader has read: those of a round
        that was stopped, whose thread was late.
        """
        earlier = select(ASKED_EPOCHS.c.id).where(
            ASKED_EPOCHS.c.holder == asked.epoch.holder,
            ASKED_EPOCHS.c.collection == asked.epoch.collection,
            ASKED_EPOCHS.c.number < asked.epoch.number,
        )
        with self._database.write() as connection:
            staged = entries_from_leaf(connection, PEER_PAGES, asked.id, asked.frontier.size)
            if staged != reader.position - asked.frontier.size:
                raise NodeError(Code.STORE_FAILED, "an earlier round left pages behind")
            for table in (OWN_TAGS, PEER_PAGES):
                connection.execute(delete(table).where(table.c.epoch_id.in_(earlier)))
            connection.execute(
                update(ASKED_EPOCHS)
                .where(ASKED_EPOCHS.c.id == asked.id)
                .values(
                    table_version=reader.version,
                    frontier=reader.frontier.encode(),
                    halves=asked.halves + 1,
                    begun=int(more),
                )
            )
        return replace(asked, verified=reader.committed, frontier=reader.frontier, halves=asked.halves + 1)

    def mark_finished(self, asked: PeerEpoch) -> None:
        """Note that a standing round left nothing unfinished in an epoch."""
        with self._database.write() as connection:
            connection.execute(update(ASKED_EPOCHS).where(ASKED_EPOCHS.c.id == asked.id).values(begun=0))

    def peers_compared_with(self, indicator: Indicator) -> list[LabId]:
        """Return the peers against whose table an indicator was compared."""
        with self._database.read() as connection:
            return [
                LabId(holder)
                for holder in connection.scalars(_COMPARED_WITH, indicator_parameters(indicator))
            ]

    def _members(self, asked: PeerEpoch, source: IndicatorSet) -> Select[int, str, int, str]:
        members = FLAGGED if source is IndicatorSet.FLAGGED else OBSERVED
        tagged = and_(OWN_TAGS.c.epoch_id == asked.id, OWN_TAGS.c.indicator_id == INDICATORS.c.id)
        return (
            select(INDICATORS.c.id, INDICATORS.c.type, INDICATORS.c.profile, INDICATORS.c.value)
            .join_from(members, INDICATORS)
            .outerjoin(OWN_TAGS, tagged)
            .where(INDICATORS.c.collection == asked.epoch.collection)
        )


def _mine(epoch: Epoch) -> ColumnElement[bool]:
    return and_(ASKED_EPOCHS.c.holder == epoch.holder, ASKED_EPOCHS.c.collection == epoch.collection)


def _forget_unfinished(connection: Connection, epoch: Row[tuple[object, ...]]) -> None:
    """Forget what was neither verified nor finished of an epoch, given its row."""
    verified = Frontier.decode(epoch.frontier).size
    if epoch.begun:
        unfinished = and_(OWN_TAGS.c.epoch_id == epoch.id, OWN_TAGS.c.half > epoch.halves)
        connection.execute(delete(OWN_TAGS).where(unfinished))
    unverified = and_(PEER_PAGES.c.epoch_id == epoch.id, PEER_PAGES.c.leaf >= verified)
    connection.execute(delete(PEER_PAGES).where(unverified))


def _known(connection: Connection, epoch: Epoch, public_key: Element) -> PeerEpoch:
    mine = _mine(epoch)
    newest = connection.scalar(select(func.max(ASKED_EPOCHS.c.number)).where(mine))
    if newest is not None and newest > epoch.number:
        raise RoundError(Code.EPOCH_RETIRED, "the peer offers an epoch before the last one")
    row = connection.execute(
        select(ASKED_EPOCHS).where(mine, ASKED_EPOCHS.c.number == epoch.number)
    ).one_or_none()
    if row is None:
        return PeerEpoch(0, epoch, public_key, TableCommitment(), Frontier())
    if row.public_key != public_key:
        raise RoundError(Code.TABLE_MISMATCH, "the peer changed the key of an epoch")
    frontier = Frontier.decode(row.frontier)
    verified = TableCommitment(row.table_version, frontier.size, frontier.root)
    return PeerEpoch(row.id, epoch, public_key, verified, frontier, row.halves)
