"""Matches that this lab found, and sightings that its peers reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, Select, func, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mandorla_protocol.epochs import LabId
from mandorla_protocol.header import Kind, RoundId
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label, Tag

from ..clock import Clock
from .asking import AskedEpoch
from .database import Database
from .schema import (
    INDICATORS,
    MATCHES,
    OWN_TAGS,
    PEERS,
    SIGHTINGS,
)

_PAGE = 4096


@dataclass(frozen=True, slots=True)
class MatchRecord:
    """An indicator that a peer flagged too, with what the peer says of it. Times are Unix seconds."""

    indicator: Indicator
    peer: LabId
    peer_name: str
    kind: Kind
    label: Label
    round_id: RoundId
    first_matched: int


class Matches:
    """What matched whom."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(
        self,
        peer: LabId,
        kind: Kind,
        round_id: RoundId,
        found: Sequence[tuple[int, Label]],
    ) -> int:
        """Record that indicators match, or match again; return how many did not match before."""
        if not found:
            return 0
        statement = upsert(MATCHES)
        statement = statement.on_conflict_do_update(
            index_elements=["peer", "kind", "indicator_id"],
            set_={
                "label": statement.excluded.label,
                "round_id": statement.excluded.round_id,
                "ended_at": 0,
            },
        )
        now = self._clock()
        standing = (
            select(func.count())
            .select_from(MATCHES)
            .where(MATCHES.c.peer == peer, MATCHES.c.kind == int(kind), MATCHES.c.ended_at == 0)
        )
        with self._database.write() as connection:
            before = connection.scalar(standing) or 0
            connection.execute(
                statement,
                [
                    {
                        "peer": peer,
                        "kind": int(kind),
                        "indicator_id": indicator_id,
                        "round_id": round_id,
                        "label": label.encode(),
                        "first_matched": now,
                        "ended_at": 0,
                    }
                    for indicator_id, label in found
                ],
            )
            return int(connection.scalar(standing) or 0) - int(before)

    def end_others(self, peer: LabId, kind: Kind, collection: str, round_id: RoundId) -> None:
        """End the matches of a collection that a round did not find again."""
        ours = select(INDICATORS.c.id).where(INDICATORS.c.collection == collection)
        with self._database.write() as connection:
            connection.execute(
                update(MATCHES)
                .where(
                    MATCHES.c.peer == peer,
                    MATCHES.c.kind == int(kind),
                    MATCHES.c.round_id != round_id,
                    MATCHES.c.ended_at == 0,
                    MATCHES.c.indicator_id.in_(ours),
                )
                .values(ended_at=self._clock())
            )

    def count(self, peer: LabId, kind: Kind | None = None, collection: str | None = None) -> int:
        """Count the matches with a peer that hold."""
        statement = (
            select(func.count())
            .select_from(MATCHES)
            .join(INDICATORS)
            .where(MATCHES.c.peer == peer, MATCHES.c.ended_at == 0)
        )
        if kind is not None:
            statement = statement.where(MATCHES.c.kind == int(kind))
        if collection is not None:
            statement = statement.where(INDICATORS.c.collection == collection)
        with self._database.read() as connection:
            return int(connection.scalar(statement) or 0)

    def all(self, peer: str | None = None, kind: Kind | None = None) -> Iterator[list[MatchRecord]]:
        """Yield the matches with pinned peers that hold, by page, oldest first."""
        after: tuple[object, ...] | None = None
        order = (MATCHES.c.first_matched, MATCHES.c.indicator_id, MATCHES.c.peer, MATCHES.c.kind)
        while True:
            statement = self._records().order_by(*order).limit(_PAGE)
            if peer is not None:
                statement = statement.where(PEERS.c.name == peer)
            if kind is not None:
                statement = statement.where(MATCHES.c.kind == int(kind))
            if after is not None:
                statement = statement.where(tuple_(*order) > after)
            with self._database.read() as connection:
                rows = connection.execute(statement).all()
            if not rows:
                return
            last = rows[-1]
            after = (last.first_matched, last.indicator_id, last.peer, last.kind)
            yield [_record(row) for row in rows]

    def of(self, indicator: Indicator) -> list[MatchRecord]:
        """Return the matches of one indicator that hold."""
        statement = self._records().where(
            INDICATORS.c.value == indicator.value,
            INDICATORS.c.type == indicator.type,
            INDICATORS.c.profile == indicator.profile,
        )
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(statement.order_by(PEERS.c.name))]

    def tags_of(self, asked: AskedEpoch, round_id: RoundId) -> list[Tag]:
        """Return the tags that a round matched, in the order of their values."""
        with self._database.read() as connection:
            return [
                Tag(tag)
                for tag in connection.scalars(
                    select(OWN_TAGS.c.tag)
                    .join(MATCHES, MATCHES.c.indicator_id == OWN_TAGS.c.indicator_id)
                    .where(OWN_TAGS.c.epoch_id == asked.id, MATCHES.c.round_id == round_id)
                    .order_by(OWN_TAGS.c.tag)
                )
            ]

    def record_sightings(self, peer: LabId, round_id: RoundId, indicator_ids: Sequence[int]) -> None:
        """Record that a peer reported to have met indicators that this lab flagged."""
        if indicator_ids:
            now = self._clock()
            with self._database.write() as connection:
                connection.execute(
                    upsert(SIGHTINGS).on_conflict_do_nothing(),
                    [
                        {"peer": peer, "indicator_id": i, "round_id": round_id, "reported_at": now}
                        for i in indicator_ids
                    ],
                )

    def count_sightings(self, peer: LabId) -> int:
        """Count the indicators that a peer reported to have met."""
        with self._database.read() as connection:
            return int(
                connection.scalar(select(func.count()).select_from(SIGHTINGS).where(SIGHTINGS.c.peer == peer))
                or 0
            )

    def _records(self) -> Select[tuple[object, ...]]:
        return (
            select(MATCHES, INDICATORS.c.type, INDICATORS.c.profile, INDICATORS.c.value, PEERS.c.name)
            .join_from(MATCHES, INDICATORS)
            .join(PEERS, PEERS.c.lab == MATCHES.c.peer)
            .where(MATCHES.c.ended_at == 0)
        )


def _record(row: Row[tuple[object, ...]]) -> MatchRecord:
    return MatchRecord(
        indicator=Indicator(row.type, row.profile, row.value),
        peer=LabId(row.peer),
        peer_name=row.name,
        kind=Kind(row.kind),
        label=Label.decode(row.label),
        round_id=RoundId(row.round_id),
        first_matched=row.first_matched,
    )
