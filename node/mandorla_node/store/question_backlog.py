"""The indicators of a set that have no tag in a peer's key epoch: those that a round still has to evaluate.

A tag counts only once its half is done. Until then it is pending, and the next round deletes it and evaluates
the indicator again.
"""

from __future__ import annotations

from sqlalchemy import Connection, Select, and_, func, or_, select

from mandorla_protocol.indicators import tokens_of

from .indicators import IndicatorSet
from .peer_epoch import PeerEpoch
from .schema import FLAGGED, INDICATORS, OBSERVED, OWN_TAGS


def count_untagged(
    connection: Connection, epoch_id: int, halves: int, collection: str, source: IndicatorSet
) -> tuple[int, int]:
    """Count the indicators of a set without a tag in an epoch; return the count and the highest id.

    `halves` is the number of halves that are done. The tags of later halves are pending and do not count.
    """
    # A subquery, not a condition on the joined tags: that would read the row of each tag, where the index on
    # the primary key alone is enough to see that a tag exists. Pending tags are few.
    pending = select(OWN_TAGS.c.indicator_id).where(OWN_TAGS.c.epoch_id == epoch_id, OWN_TAGS.c.half > halves)
    untagged = or_(OWN_TAGS.c.indicator_id.is_(None), INDICATORS.c.id.in_(pending))
    statement = _members(epoch_id, collection, source).where(untagged)
    ids = statement.with_only_columns(INDICATORS.c.id).subquery()
    count, highest = connection.execute(
        select(func.count(), func.coalesce(func.max(ids.c.id), 0)).select_from(ids)
    ).one()
    return count, highest


def read_untagged(
    connection: Connection, peer_epoch: PeerEpoch, source: IndicatorSet, after: int, last: int, limit: int
) -> tuple[list[int], bytes]:
    """Return indicators without a tag in an epoch, by id, `after` < id <= `last`: ids, and joined tokens.

    The epoch has no pending tags: the round that reads deleted them when it began.
    """
    rows = connection.execute(
        _members(peer_epoch.id, peer_epoch.epoch.collection, source)
        .where(OWN_TAGS.c.indicator_id.is_(None), INDICATORS.c.id > after, INDICATORS.c.id <= last)
        .order_by(INDICATORS.c.id)
        .limit(limit)
    ).all()
    return [row[0] for row in rows], tokens_of(row[1:] for row in rows)


def _members(epoch_id: int, collection: str, source: IndicatorSet) -> Select[int, str, int, str]:
    """Select the indicators of a set, joined with their tags in an epoch, if they have any."""
    members = FLAGGED if source is IndicatorSet.FLAGGED else OBSERVED
    tagged = and_(OWN_TAGS.c.epoch_id == epoch_id, OWN_TAGS.c.indicator_id == INDICATORS.c.id)
    return (
        select(INDICATORS.c.id, INDICATORS.c.type, INDICATORS.c.profile, INDICATORS.c.value)
        .join_from(members, INDICATORS)
        .outerjoin(OWN_TAGS, tagged)
        .where(INDICATORS.c.collection == collection)
    )
