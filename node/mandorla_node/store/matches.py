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
from .match_events import is_current, next_event
from .peer_epoch import PeerEpoch
from .queries import count
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
    """A match of this lab's with a peer, and the peer's label. Times are Unix seconds.

    It is a match of one indicator, or of a group of which `tokens` indicators match (SPEC A.5). `group` and
    `value` are then the group's name.
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
    """The match's number: matches are numbered as they begin."""


class Matches:
    """The matches with each peer, and the sightings that each peer reported."""

    def __init__(self, database: Database, labels: LabelStore, clock: Clock) -> None:
        self._database = database
        self._labels = labels
        self._clock = clock

    def record(
        self,
        peer: LabId,
        kind: RoundKind,
        collection: str,
        round_id: RoundId,
        found: Sequence[tuple[int, Label]],
    ) -> tuple[int, int]:
        """Record that indicators match, or match again.

        Indicators that count only as members of a group are stored as parts until `conclude`.

        Return the number of indicators that match by themselves, and the number of new ones among them.
        """
        if not found:
            return 0, 0
        now = self._clock()
        with self._database.write() as connection:
            ids = [indicator_id for indicator_id, _ in found]
            parts = groups.parts(connection, _target(kind), collection, ids)
            groups.record_parts(
                connection, self._labels, peer, kind, round_id, [pair for pair in found if pair[0] in parts]
            )
            alone = [pair for pair in found if pair[0] not in parts]
            if not alone:
                return 0, 0
            first = next_event(connection)
            common = (peer, int(kind), round_id, now, 0)
            rows = [
                (event, indicator_id, self._labels.seal(label), label.expires, *common)
                for event, (indicator_id, label) in enumerate(alone, first)
            ]
            insert_rows(connection, _match_again(connection.dialect.name), _MATCH, rows)
            began = select(func.count()).select_from(MATCHES).where(MATCHES.c.event >= first)
            return len(alone), count(connection, began)

    def conclude(self, peer: LabId, kind: RoundKind, collection: str, round_id: RoundId) -> tuple[int, int]:
        """Record the groups that match, and end the matches of a collection that a round did not find again.

        Return the number of groups that match, and the number of new ones among them.
        """
        now = self._clock()
        in_collection = exists().where(
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
                    in_collection,
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
        """Record what a standing round found after `conclude`, and end the matches of indicators in `gone`.

        Their matches of every kind of round end: all kinds compare with the same table of the peer's.

        Return the number of found indicators that match by themselves, and the number of new matches, those
        of groups included.
        """
        matches, new = self.record(peer, kind, collection, round_id, found)
        now = self._clock()
        with self._database.write() as connection:
            if gone:
                # One execution for each id: the number of ids is not bounded, and the parameters of IN are.
                match, part = (
                    and_(
                        table.c.peer == peer,
                        or_(*(table.c.kind == kind for kind in _KINDS)),
                        table.c.indicator_id == bindparam("gone"),
                    )
                    for table in (MATCHES, PARTIAL_MATCHES)
                )
                ids = [{"gone": number} for number in gone]
                end = update(MATCHES).where(match, MATCHES.c.ended_at == 0).values(ended_at=now)
                connection.execute(end, ids)
                connection.execute(delete(PARTIAL_MATCHES).where(part), ids)
                groups.end_incomplete(connection, now, GROUP_MATCHES.c.peer == peer)
            _, new_groups = groups.settle(connection, peer, kind, _target(kind), collection, round_id, now)
        return matches, new + new_groups

    def indicator_ids(self, peer: LabId, kind: RoundKind) -> set[int]:
        """Return the ids of indicators that match with a peer by a kind of round, alone or in groups."""
        alone, parts = (
            select(table.c.indicator_id).where(table.c.peer == peer, table.c.kind == int(kind))
            for table in (MATCHES, PARTIAL_MATCHES)
        )
        with self._database.read() as connection:
            return set(connection.scalars(union(alone.where(MATCHES.c.ended_at == 0), parts)))

    def count(self, peer: LabId) -> int:
        """Count the current matches with a peer."""
        total = 0
        with self._database.read() as connection:
            for table in (MATCHES, GROUP_MATCHES):
                current = and_(table.c.peer == peer, is_current(table, self._clock()))
                total += count(connection, select(func.count()).select_from(table).where(current))
        return total

    def all(self, peer: str | None = None, kind: RoundKind | None = None) -> Iterator[list[MatchRecord]]:
        """Yield the current matches with pinned peers, in pages, in the order in which they began."""
        streams = [
            self._stream(records, table)
            for records, table in ((_alone(self._clock()), MATCHES), (_grouped(self._clock()), GROUP_MATCHES))
        ]
        rows = (
            row
            for row in heapq.merge(*streams, key=attrgetter("event"))
            # Not in the query: the database would use the index on the peer, and sort all rows of the peer.
            if (peer is None or row.peer_name == peer) and (kind is None or row.kind == kind)
        )
        while page := list(islice(rows, _PAGE)):
            yield [_record(row, self._labels) for row in page]

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
        """Return the current matches that began after the match of a number: at most `limit`, in order."""
        rows: list[Row[tuple[object, ...]]] = []
        with self._database.read() as connection:
            now = self._clock()
            for records, table in ((_alone(now), MATCHES), (_grouped(now), GROUP_MATCHES)):
                later = records.where(table.c.event > event).order_by(table.c.event).limit(limit)
                rows += connection.execute(later)
        return [_record(row, self._labels) for row in sorted(rows, key=attrgetter("event"))[:limit]]

    def of_indicator(self, indicator: Indicator) -> list[MatchRecord]:
        """Return the current matches of an indicator, and of the groups in which it matches."""
        parameters = {**indicator_parameters(indicator), "now": self._clock()}
        with self._database.read() as connection:
            rows = [
                row for statement in _statements_of() for row in connection.execute(statement, parameters)
            ]
        return sorted(
            (_record(row, self._labels) for row in rows),
            key=lambda record: (record.peer_name, record.kind, record.group),
        )

    def tags_of(self, peer_epoch: PeerEpoch, round_id: RoundId) -> list[Tag]:
        """Return the tags that a round matched, those of matching groups included, in order."""
        alone, parts, matching = (
            and_(
                table.c.peer == peer_epoch.epoch.holder,
                table.c.kind.in_(_KINDS),
                table.c.round_id == round_id,
            )
            for table in (MATCHES, PARTIAL_MATCHES, GROUP_MATCHES)
        )
        counted = (
            select(PARTIAL_MATCHES.c.indicator_id)
            .join(GROUP_MEMBERS, GROUP_MEMBERS.c.indicator_id == PARTIAL_MATCHES.c.indicator_id)
            .where(parts, exists().where(matching, GROUP_MATCHES.c.group_id == GROUP_MEMBERS.c.group_id))
        )
        found = union(select(MATCHES.c.indicator_id).where(alone), counted)
        own = select(OWN_TAGS.c.tag).where(
            OWN_TAGS.c.epoch_id == peer_epoch.id, OWN_TAGS.c.indicator_id.in_(found)
        )
        with self._database.read() as connection:
            return sorted(Tag(tag) for tag in connection.scalars(own))

    def record_sightings(self, peer: LabId, round_id: RoundId, indicator_ids: Sequence[int]) -> None:
        """Record that a peer reported sightings of indicators that this lab flagged."""
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
    """Return the insert of matches, which updates those that exist. Cached: it is compiled once."""
    statement = upsert(MATCHES, dialect)
    return statement.on_conflict_do_update(
        index_elements=["peer", "kind", "indicator_id"],
        set_={
            **{name: statement.excluded[name] for name in ("label", "expires", "round_id", "ended_at")},
            # A match that is current keeps its number; one that ended begins anew under the new number.
            "event": case(
                (is_current(MATCHES, statement.excluded.first_matched), MATCHES.c.event),
                else_=statement.excluded.event,
            ),
        },
    )


def _target(kind: RoundKind) -> str:
    """Return the set whose indicators a kind of round compares."""
    return (IndicatorSet.FLAGGED if kind is RoundKind.SHARED else IndicatorSet.OBSERVED).value


@lru_cache(maxsize=1)
def _statements_of() -> tuple[Select[tuple[object, ...]], ...]:
    """Return the selects of an indicator's matches. Cached: building them takes longer than running them."""
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
        .where(is_current(MATCHES, now))
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
        .where(is_current(GROUP_MATCHES, now))
    )


def _of_anyone(records: Select[tuple[object, ...]], table: Table) -> Select[tuple[object, ...]]:
    """Add all peers and kinds as conditions: they come first in the unique index that the look-up uses."""
    return records.where(table.c.peer.in_(select(PEERS.c.lab)), table.c.kind.in_(_KINDS))


def _record(row: Row[tuple[object, ...]], labels: LabelStore) -> MatchRecord:
    return MatchRecord(
        type=row.type,
        value=row.value,
        peer=LabId(row.peer),
        peer_name=row.peer_name,
        kind=RoundKind(row.kind),
        label=labels.open(row.label),
        round_id=RoundId(row.round_id),
        first_matched=row.first_matched,
        group=row.group_name,
        tokens=row.tokens,
        event=row.event,
    )
