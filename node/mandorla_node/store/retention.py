"""Forgetting what this lab keeps no longer: what it saw long ago, and matches that ended long ago.

Numbers are not given out again, so that whoever remembers one never finds another thing behind it: the newest
of each kind stays, since a database may take up where its highest number is.
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
    """What one step forgot: ids of indicators, and whether there may be more."""

    indicator_ids: list[int]
    more: bool


class Retention:
    """What is kept, and for how long."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def forget_observed(self, before: int, limit: int) -> RetentionStep:
        """Forget at most `limit` indicators that were seen last before a time; their matches end.

        What this lab has flagged stays flagged, and what is left of a match keeps its indicator.
        """
        newest = select(func.max(OBSERVED.c.change)).scalar_subquery()
        old = (
            select(OBSERVED.c.indicator_id)
            # The next change's number is one more than the highest: it must not fall back.
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
                _forget_unneeded(connection, ids)
        return RetentionStep(ids, len(ids) == limit)

    def forget_matches(self, before: int, limit: int) -> RetentionStep:
        """Forget at most `limit` matches that ended before a time, and as many of groups."""
        with self._database.write() as connection:
            newest = max(
                int(connection.scalar(select(func.coalesce(func.max(table.c.event), 0))) or 0)
                for table in (MATCHES, GROUP_MATCHES)
            )
            alone = _ended(connection, MATCHES, MATCHES.c.indicator_id, before, newest, limit)
            grouped = _ended(connection, GROUP_MATCHES, GROUP_MATCHES.c.group_id, before, newest, limit)
            _forget_unneeded(connection, alone)
            _forget_groups(connection, grouped)
        return RetentionStep(alone, limit in (len(alone), len(grouped)))


def _ended(
    connection: Connection, table: Table, of: ColumnElement[int], before: int, newest: int, limit: int
) -> list[int]:
    """Delete matches that ended before a time; return of which indicators or groups they were."""
    ended = or_(
        and_(table.c.ended_at > 0, table.c.ended_at < before),
        # A label that has expired ends a match without a word.
        and_(table.c.ended_at == 0, table.c.expires > 0, table.c.expires < before),
    )
    some = select(table.c.event, of).where(ended, table.c.event < newest).order_by(table.c.event).limit(limit)
    rows = connection.execute(some).all()
    if rows:
        connection.execute(delete(table).where(table.c.event.in_([row[0] for row in rows])))
    return [row[1] for row in rows]


def _end_matches(connection: Connection, ids: Sequence[int], now: int) -> None:
    watched = int(RoundKind.WATCH)
    mine = and_(_of_anyone(MATCHES), MATCHES.c.kind == watched, MATCHES.c.indicator_id.in_(ids))
    connection.execute(update(MATCHES).where(mine, MATCHES.c.ended_at == 0).values(ended_at=now))
    connection.execute(
        delete(PARTIAL_MATCHES).where(
            PARTIAL_MATCHES.c.kind == watched, PARTIAL_MATCHES.c.indicator_id.in_(ids)
        )
    )


def _leave_groups(connection: Connection, ids: Sequence[int], now: int) -> None:
    """Take indicators out of the groups of what was observed; groups that match no more do not."""
    observed = select(GROUPS.c.id).where(GROUPS.c.target == IndicatorSet.OBSERVED.value)
    mine = and_(GROUP_MEMBERS.c.indicator_id.in_(ids), GROUP_MEMBERS.c.group_id.in_(observed))
    left = list(connection.scalars(select(GROUP_MEMBERS.c.group_id).where(mine).distinct()))
    if left:
        connection.execute(delete(GROUP_MEMBERS).where(mine))
        groups.end_incomplete(connection, now, GROUP_MATCHES.c.group_id.in_(left))
        _forget_groups(connection, left)


def _forget_groups(connection: Connection, ids: Sequence[int]) -> None:
    """Forget those of some groups that have no members and no matches: their names are this lab's own."""
    connection.execute(
        delete(GROUPS).where(
            GROUPS.c.id.in_(ids),
            ~exists().where(GROUP_MEMBERS.c.group_id == GROUPS.c.id),
            ~exists().where(GROUP_MATCHES.c.group_id == GROUPS.c.id),
            GROUPS.c.id < select(func.max(GROUPS.c.id)).scalar_subquery(),
        )
    )


def _forget_unneeded(connection: Connection, ids: Sequence[int]) -> None:
    """Forget those of some indicators that nothing is about any more: what they are, and their tags."""
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
    gone = list(set(ids) - set(connection.scalars(needed)))
    if gone:
        epochs = select(ASKED_EPOCHS.c.id)
        connection.execute(
            delete(OWN_TAGS).where(OWN_TAGS.c.epoch_id.in_(epochs), OWN_TAGS.c.indicator_id.in_(gone))
        )
        connection.execute(delete(INDICATORS).where(INDICATORS.c.id.in_(gone)))


def _of_anyone(table: Table) -> ColumnElement[bool]:
    """Name all who may have flagged, unpinned ones too, so that a look-up uses the index that they begin."""
    return table.c.peer.in_(union(select(PEERS.c.lab), select(ASKED_EPOCHS.c.holder)))
