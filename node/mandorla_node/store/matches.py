"""Matches that this lab found, and sightings that its peers reported."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import attrgetter

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    union,
    update,
)

from mandorla_protocol.epochs import LabId
from mandorla_protocol.header import RoundId, RoundKind
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label, Tag

from ..core.clock import Clock
from . import groups
from .backends import upsert
from .bulk import insert_rows
from .database import Database
from .indicators import IS_INDICATOR, IndicatorSet, indicator_parameters
from .labels import LabelStore
from .match_events import holds, next_event
from .peer_epoch import PeerEpoch
from .schema import (
    GROUP_MATCHES,
    GROUP_MEMBERS,
    GROUPS,
    INDICATORS,
    MATCHES,
    OWN_TAGS,
    PARTIAL_MATCHES,
    PEERS,
    SIGHTINGS,
)

_PAGE = 4096
_KINDS = [int(kind) for kind in RoundKind]
_MATCH = (
    "event",
    "indicator_id",
    "label",
    "expires",
    "peer",
    "kind",
    "round_id",
    "first_matched",
    "ended_at",
)


@dataclass(frozen=True, slots=True)
class MatchRecord:
    """What a peer flagged too, with what the peer says of it. Times are Unix seconds.

    It is one indicator, or a group of which `tokens` indicators match (SPEC A.5): then `group` is its name,
    and the value too.
    """

    type: str
    value: str = field(repr=False)
    peer: LabId
    peer_name: str
    kind: RoundKind
    label: Label
    round_id: RoundId
    first_matched: int
    group: str = field(repr=False)
    tokens: int
    event: int = 0
    """Its number, in the order in which matches begin."""


class Matches:
    """What matched whom."""

    def __init__(self, database: Database, said: LabelStore, clock: Clock) -> None:
        self._database = database
        self._said = said
        self._clock = clock

    def record(
        self,
        peer: LabId,
        kind: RoundKind,
        collection: str,
        round_id: RoundId,
        found: Sequence[tuple[int, Label]],
    ) -> tuple[int, int]:
        """Record that indicators match, or match again; those that only count in groups wait for `conclude`.

        Return how many match by themselves, and how many of them did not before.
        """
        if not found:
            return 0, 0
        now = self._clock()
        with self._database.write() as connection:
            ids = [indicator_id for indicator_id, _ in found]
            parts = groups.parts(connection, _target(kind), collection, ids)
            groups.record_parts(
                connection, self._said, peer, kind, round_id, [one for one in found if one[0] in parts]
            )
            alone = [one for one in found if one[0] not in parts]
            if not alone:
                return 0, 0
            first = next_event(connection)
            said = (peer, int(kind), round_id, now, 0)
            numbered = enumerate(alone, first)
            rows = [
                (event, number, self._said.sealed(label), label.expires, *said)
                for event, (number, label) in numbered
            ]
            insert_rows(connection, _match_again(connection.dialect.name), _MATCH, rows)
            began = select(func.count()).select_from(MATCHES).where(MATCHES.c.event >= first)
            return len(alone), int(connection.scalar(began) or 0)

    def conclude(self, peer: LabId, kind: RoundKind, collection: str, round_id: RoundId) -> tuple[int, int]:
        """Match groups, and end the matches of a collection that a round did not find again.

        Return how many groups match, and how many of them did not before.
        """
        now = self._clock()
        ours = exists().where(
            INDICATORS.c.id == MATCHES.c.indicator_id, INDICATORS.c.collection == collection
        )
        with self._database.write() as connection:
            connection.execute(
                update(MATCHES)
                .where(
                    MATCHES.c.peer == peer,
                    MATCHES.c.kind == int(kind),
                    MATCHES.c.round_id != round_id,
                    MATCHES.c.ended_at == 0,
                    ours,
                )
                .values(ended_at=now)
            )
            return groups.settle(connection, peer, kind, _target(kind), collection, round_id, now)

    def renew(
        self,
        peer: LabId,
        kind: RoundKind,
        collection: str,
        round_id: RoundId,
        found: Sequence[tuple[int, Label]],
        gone: Sequence[int] = (),
    ) -> tuple[int, int]:
        """Take in what a standing round found since it was concluded, and which indicators match no more.

        These match no more whatever kind of round found them: they are in one table of the peer's.

        Return how many of the indicators match by themselves, and how many matches are new, of groups too.
        """
        matches, new = self.record(peer, kind, collection, round_id, found)
        now = self._clock()
        with self._database.write() as connection:
            if gone:
                # Not by IN, whose parameters cannot be of many rows at once.
                mine, part = (
                    and_(
                        table.c.peer == peer,
                        or_(*(table.c.kind == kind for kind in _KINDS)),
                        table.c.indicator_id == bindparam("gone"),
                    )
                    for table in (MATCHES, PARTIAL_MATCHES)
                )
                ids = [{"gone": number} for number in gone]
                over = update(MATCHES).where(mine, MATCHES.c.ended_at == 0).values(ended_at=now)
                connection.execute(over, ids)
                connection.execute(delete(PARTIAL_MATCHES).where(part), ids)
                groups.lapse(connection, now, GROUP_MATCHES.c.peer == peer)
            _, new_groups = groups.settle(connection, peer, kind, _target(kind), collection, round_id, now)
        return matches, new + new_groups

    def indicator_ids(self, peer: LabId, kind: RoundKind) -> set[int]:
        """Return the ids of indicators that match with a peer in a kind of round, or count in groups."""
        alone, parts = (
            select(table.c.indicator_id).where(table.c.peer == peer, table.c.kind == int(kind))
            for table in (MATCHES, PARTIAL_MATCHES)
        )
        with self._database.read() as connection:
            return set(connection.scalars(union(alone.where(MATCHES.c.ended_at == 0), parts)))

    def count(self, peer: LabId) -> int:
        """Count the matches with a peer that hold."""
        total = 0
        with self._database.read() as connection:
            for table in (MATCHES, GROUP_MATCHES):
                mine = and_(table.c.peer == peer, holds(table, self._clock()))
                statement = select(func.count()).select_from(table).where(mine)
                total += int(connection.scalar(statement) or 0)
        return total

    def all(self, peer: str | None = None, kind: RoundKind | None = None) -> Iterator[list[MatchRecord]]:
        """Yield the matches with pinned peers that hold, by page, in the order in which they began."""
        streams = [
            self._stream(records, table)
            for records, table in ((_alone(self._clock()), MATCHES), (_grouped(self._clock()), GROUP_MATCHES))
        ]
        rows = (
            row
            for row in heapq.merge(*streams, key=attrgetter("event"))
            # Not a condition of the query: by the index that has the peer, it would sort all of the peer's.
            if (peer is None or row.peer_name == peer) and (kind is None or row.kind == kind)
        )
        while page := list(islice(rows, _PAGE)):
            yield [_record(row, self._said) for row in page]

    def _stream(self, records: Select[tuple[object, ...]], table: Table) -> Iterator[Row[tuple[object, ...]]]:
        statement = records.order_by(table.c.event).limit(_PAGE)
        after = 0
        while True:
            with self._database.read() as connection:
                rows = connection.execute(statement.where(table.c.event > after)).all()
            if not rows:
                return
            yield from rows
            after = rows[-1].event

    def since(self, event: int, limit: int) -> list[MatchRecord]:
        """Return the matches that hold and began after one, by its number: at most `limit`, in order."""
        rows: list[Row[tuple[object, ...]]] = []
        with self._database.read() as connection:
            now = self._clock()
            for records, table in ((_alone(now), MATCHES), (_grouped(now), GROUP_MATCHES)):
                later = records.where(table.c.event > event).order_by(table.c.event).limit(limit)
                rows += connection.execute(later)
        return [_record(row, self._said) for row in sorted(rows, key=attrgetter("event"))[:limit]]

    def of_indicator(self, indicator: Indicator) -> list[MatchRecord]:
        """Return the matches that hold of one indicator, or of groups that it matches as a part of."""
        named = {**indicator_parameters(indicator), "now": self._clock()}
        with self._database.read() as connection:
            rows = [row for statement in _statements_of() for row in connection.execute(statement, named)]
        return sorted(
            (_record(row, self._said) for row in rows), key=lambda one: (one.peer_name, one.kind, one.group)
        )

    def tags_of(self, asked: PeerEpoch, round_id: RoundId) -> list[Tag]:
        """Return the tags that a round matched, those of groups that match included, by their values."""
        alone, parts, matching = (
            and_(table.c.peer == asked.epoch.holder, table.c.kind.in_(_KINDS), table.c.round_id == round_id)
            for table in (MATCHES, PARTIAL_MATCHES, GROUP_MATCHES)
        )
        counted = (
            select(PARTIAL_MATCHES.c.indicator_id)
            .join(GROUP_MEMBERS, GROUP_MEMBERS.c.indicator_id == PARTIAL_MATCHES.c.indicator_id)
            .where(parts, exists().where(matching, GROUP_MATCHES.c.group_id == GROUP_MEMBERS.c.group_id))
        )
        found = union(select(MATCHES.c.indicator_id).where(alone), counted)
        own = select(OWN_TAGS.c.tag).where(
            OWN_TAGS.c.epoch_id == asked.id, OWN_TAGS.c.indicator_id.in_(found)
        )
        with self._database.read() as connection:
            return sorted(Tag(tag) for tag in connection.scalars(own))

    def record_sightings(self, peer: LabId, round_id: RoundId, indicator_ids: Sequence[int]) -> None:
        """Record that a peer reported to have met indicators that this lab flagged."""
        if indicator_ids:
            now = self._clock()
            with self._database.write() as connection:
                connection.execute(
                    upsert(SIGHTINGS, connection.dialect.name).on_conflict_do_nothing(),
                    [
                        {"peer": peer, "indicator_id": i, "round_id": round_id, "reported_at": now}
                        for i in indicator_ids
                    ],
                )


@lru_cache
def _match_again(dialect: str) -> Insert:
    """Return the insert of matches, of which some are there."""
    statement = upsert(MATCHES, dialect)
    return statement.on_conflict_do_update(
        index_elements=["peer", "kind", "indicator_id"],
        set_={
            **{name: statement.excluded[name] for name in ("label", "expires", "round_id", "ended_at")},
            # One that holds, now, is the match that it was.
            "event": case(
                (holds(MATCHES, statement.excluded.first_matched), MATCHES.c.event),
                else_=statement.excluded.event,
            ),
        },
    )


def _target(kind: RoundKind) -> str:
    """Return the set whose indicators a kind of round compares."""
    return (IndicatorSet.FLAGGED if kind is RoundKind.SHARED else IndicatorSet.OBSERVED).value


@lru_cache(maxsize=1)
def _statements_of() -> tuple[Select[tuple[object, ...]], ...]:
    """Return what selects the matches of an indicator; made once, which takes longer than running it."""
    this = select(INDICATORS.c.id).where(IS_INDICATOR).scalar_subquery()
    part_of = exists().where(
        PARTIAL_MATCHES.c.peer == GROUP_MATCHES.c.peer,
        PARTIAL_MATCHES.c.kind == GROUP_MATCHES.c.kind,
        PARTIAL_MATCHES.c.indicator_id == this,
    )
    now = bindparam("now", type_=BigInteger)
    its_groups = select(GROUP_MEMBERS.c.group_id).where(GROUP_MEMBERS.c.indicator_id == this)
    return (
        _of_anyone(_alone(now), MATCHES).where(MATCHES.c.indicator_id == this),
        _of_anyone(_grouped(now), GROUP_MATCHES).where(GROUP_MATCHES.c.group_id.in_(its_groups), part_of),
    )


def _alone(now: ColumnElement[int] | int) -> Select[tuple[object, ...]]:
    """Select the indicators that match by themselves."""
    return (
        select(
            MATCHES,
            INDICATORS.c.type,
            INDICATORS.c.value,
            literal("").label("group_name"),
            literal(1).label("tokens"),
            PEERS.c.name.label("peer_name"),
        )
        .join_from(MATCHES, INDICATORS, INDICATORS.c.id == MATCHES.c.indicator_id)
        .join(PEERS, PEERS.c.lab == MATCHES.c.peer)
        .where(holds(MATCHES, now))
    )


def _grouped(now: ColumnElement[int] | int) -> Select[tuple[object, ...]]:
    """Select the groups that match, in the columns of `_alone`."""
    return (
        select(
            GROUP_MATCHES,
            GROUPS.c.type,
            GROUPS.c.name.label("value"),
            GROUPS.c.name.label("group_name"),
            PEERS.c.name.label("peer_name"),
        )
        .join_from(GROUP_MATCHES, GROUPS)
        .join(PEERS, PEERS.c.lab == GROUP_MATCHES.c.peer)
        .where(holds(GROUP_MATCHES, now))
    )


def _of_anyone(records: Select[tuple[object, ...]], table: Table) -> Select[tuple[object, ...]]:
    """Name all peers and kinds, so that a look-up by the third column of the unique index uses it."""
    return records.where(table.c.peer.in_(select(PEERS.c.lab)), table.c.kind.in_(_KINDS))


def _record(row: Row[tuple[object, ...]], said: LabelStore) -> MatchRecord:
    return MatchRecord(
        type=row.type,
        value=row.value,
        peer=LabId(row.peer),
        peer_name=row.peer_name,
        kind=RoundKind(row.kind),
        label=said.opened(row.label),
        round_id=RoundId(row.round_id),
        first_matched=row.first_matched,
        group=row.group_name,
        tokens=row.tokens,
        event=row.event,
    )
