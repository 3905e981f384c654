"""The deletion of old data: indicators last seen long ago, and matches that ended long ago.

Ids and numbers are not reused, because a reader that keeps an id must not find another row under it. A
database may assign the next number from the highest one present, so the node never deletes the newest row of
each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    union,
    update,
)

from mandorla_protocol.header import RoundKind

from ..core.clock import Clock
from . import groups
from .database import Database
from .indicators import IndicatorSet
from .match_events import next_event
from .schema import (
    ASKED_EPOCHS,
    FLAGGED,
    GROUP_MATCHES,
    GROUP_MEMBERS,
    GROUPS,
    INDICATORS,
    MATCHES,
    OBSERVED,
    OWN_TAGS,
    PARTIAL_MATCHES,
    PEERS,
    SIGHTINGS,
)

_KINDS = [int(kind) for kind in RoundKind]


class RetentionStep(NamedTuple):
    """The result of one step: ids of indicators that it deleted, and whether there may be more to delete."""

    indicator_ids: list[int]
    more: bool


class Retention:
    """Delete old data, a bounded number of rows at a step."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def forget_observed(self, before: int, limit: int) -> RetentionStep:
        """Delete at most `limit` indicators last seen before a time from the observed set; end their matches.

        They stay in the flagged set, and an indicator with rows in other tables stays known.
        """
        newest = select(func.max(OBSERVED.c.change)).scalar_subquery()
        old = (
            select(OBSERVED.c.indicator_id)
            # The next change gets the highest number plus one, so the row with the highest number stays.
            .where(OBSERVED.c.last_seen < before, OBSERVED.c.change < newest)
            .order_by(OBSERVED.c.indicator_id)
            .limit(limit)
        )
        now = self._clock()
        with self._database.write() as connection:
            ids = list(connection.scalars(old))
            if ids:
                connection.execute(delete(OBSERVED).where(OBSERVED.c.indicator_id.in_(ids)))
                _end_matches(connection, ids, now)
                _leave_groups(connection, ids, now)
                _delete_unreferenced(connection, ids)
        return RetentionStep(ids, len(ids) == limit)

    def forget_matches(self, before: int, limit: int) -> RetentionStep:
        """Delete at most `limit` matches that ended before a time, and as many of groups."""
        with self._database.write() as connection:
            newest = next_event(connection) - 1
            alone = _delete_ended(connection, MATCHES, MATCHES.c.indicator_id, before, newest, limit)
            grouped = _delete_ended(
                connection, GROUP_MATCHES, GROUP_MATCHES.c.group_id, before, newest, limit
            )
            _delete_unreferenced(connection, alone)
            _delete_empty_groups(connection, grouped)
        return RetentionStep(alone, limit in (len(alone), len(grouped)))


def _delete_ended(
    connection: Connection, table: Table, of: ColumnElement[int], before: int, newest: int, limit: int
) -> list[int]:
    """Delete matches that ended before a time; return the ids of their indicators or groups (`of`)."""
    ended = or_(
        and_(table.c.ended_at > 0, table.c.ended_at < before),
        # An expired label ends a match, and nothing sets `ended_at` then.
        and_(table.c.ended_at == 0, table.c.expires > 0, table.c.expires < before),
    )
    page = select(table.c.event, of).where(ended, table.c.event < newest).order_by(table.c.event).limit(limit)
    rows = connection.execute(page).all()
    if rows:
        connection.execute(delete(table).where(table.c.event.in_([row[0] for row in rows])))
    return [row[1] for row in rows]


def _end_matches(connection: Connection, ids: Sequence[int], now: int) -> None:
    watched = int(RoundKind.WATCH)
    matches = and_(_of_anyone(MATCHES), MATCHES.c.kind == watched, MATCHES.c.indicator_id.in_(ids))
    connection.execute(update(MATCHES).where(matches, MATCHES.c.ended_at == 0).values(ended_at=now))
    connection.execute(
        delete(PARTIAL_MATCHES).where(
            PARTIAL_MATCHES.c.kind == watched, PARTIAL_MATCHES.c.indicator_id.in_(ids)
        )
    )


def _leave_groups(connection: Connection, ids: Sequence[int], now: int) -> None:
    """Remove indicators from groups of the observed set, and end the matches that become incomplete."""
    observed = select(GROUPS.c.id).where(GROUPS.c.target == IndicatorSet.OBSERVED.value)
    members = and_(GROUP_MEMBERS.c.indicator_id.in_(ids), GROUP_MEMBERS.c.group_id.in_(observed))
    group_ids = list(connection.scalars(select(GROUP_MEMBERS.c.group_id).where(members).distinct()))
    if group_ids:
        connection.execute(delete(GROUP_MEMBERS).where(members))
        groups.end_incomplete(connection, now, GROUP_MATCHES.c.group_id.in_(group_ids))
        _delete_empty_groups(connection, group_ids)


def _delete_empty_groups(connection: Connection, ids: Sequence[int]) -> None:
    """Delete the groups, among these, without members and matches: a group's name is data of this lab's."""
    connection.execute(
        delete(GROUPS).where(
            GROUPS.c.id.in_(ids),
            ~exists().where(GROUP_MEMBERS.c.group_id == GROUPS.c.id),
            ~exists().where(GROUP_MATCHES.c.group_id == GROUPS.c.id),
            GROUPS.c.id < select(func.max(GROUPS.c.id)).scalar_subquery(),
        )
    )


def _delete_unreferenced(connection: Connection, ids: Sequence[int]) -> None:
    """Delete the indicators, among these, that no set, group or match refers to, and their tags."""
    if not ids:
        return
    needed = union(
        *(
            select(table.c.indicator_id).where(table.c.indicator_id.in_(ids))
            for table in (FLAGGED, OBSERVED, GROUP_MEMBERS, PARTIAL_MATCHES, SIGHTINGS)
        ),
        select(MATCHES.c.indicator_id).where(
            _of_anyone(MATCHES), MATCHES.c.kind.in_(_KINDS), MATCHES.c.indicator_id.in_(ids)
        ),
        select(func.max(INDICATORS.c.id)),
    )
    unreferenced = list(set(ids) - set(connection.scalars(needed)))
    if unreferenced:
        epochs = select(ASKED_EPOCHS.c.id)
        connection.execute(
            delete(OWN_TAGS).where(OWN_TAGS.c.epoch_id.in_(epochs), OWN_TAGS.c.indicator_id.in_(unreferenced))
        )
        connection.execute(delete(INDICATORS).where(INDICATORS.c.id.in_(unreferenced)))


def _of_anyone(table: Table) -> ColumnElement[bool]:
    """Add all peers as a condition, unpinned ones too: the peer is the first column of the index in use."""
    return table.c.peer.in_(union(select(PEERS.c.lab), select(ASKED_EPOCHS.c.holder)))
