"""Groups of fingerprints (SPEC A.5): their members, and the groups that match.

A member of a group does not match by itself: it is stored as a part. At the end of a round, the groups with
enough parts match. The functions run within the transactions of their callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    update,
)

from mandorla_protocol.epochs import LabId
from mandorla_protocol.header import RoundId, RoundKind
from mandorla_protocol.indicators import REGISTRY, Indicator
from mandorla_protocol.labels import Label

from .backends import upsert
from .bulk import insert_rows
from .labels import LabelStore
from .match_events import is_current, next_event
from .queries import count
from .schema import GROUP_MATCHES, GROUP_MEMBERS, GROUPS, INDICATORS, PARTIAL_MATCHES

_NEEDED: Final = {kind.name: kind.needed for kind in REGISTRY.values() if kind.grouped}
_SEVERAL: Final = [name for name, needed in _NEEDED.items() if needed > 1]

_PART = ("indicator_id", "severity", "confidence", "label", "expires", "peer", "kind", "round_id")

_JOIN = text("""
    INSERT INTO group_members (indicator_id, group_id)
    SELECT indicators.id, groups.id FROM indicators, groups
    WHERE indicators.value = :value AND indicators.type = :type AND indicators.profile = :profile
        AND groups.name = :name AND groups.type = :type AND groups.target = :target
    ON CONFLICT DO NOTHING
""")


def join(connection: Connection, target: str, members: Sequence[tuple[Indicator, str]]) -> None:
    """Add indicators of a set to groups, by the groups' names; memberships that exist stay as they are."""
    if not members:
        return
    names = {(indicator.type, name) for indicator, name in members}
    connection.execute(
        upsert(GROUPS, connection.dialect.name).on_conflict_do_nothing(),
        [{"target": target, "type": kind, "name": name} for kind, name in sorted(names)],
    )
    connection.execute(
        _JOIN,
        [
            {
                "value": indicator.value,
                "type": indicator.type,
                "profile": indicator.profile,
                "name": name,
                "target": target,
            }
            for indicator, name in members
        ],
    )


def parts(connection: Connection, target: str, collection: str, indicator_ids: Sequence[int]) -> set[int]:
    """Return the ids, among these, of indicators that match only together with others of their group."""
    if not _grouped_types(collection):
        return set()
    grouped = exists().where(
        GROUP_MEMBERS.c.indicator_id == INDICATORS.c.id,
        GROUPS.c.id == GROUP_MEMBERS.c.group_id,
        GROUPS.c.target == target,
    )
    return set(
        connection.scalars(
            select(INDICATORS.c.id).where(
                INDICATORS.c.id.in_(indicator_ids), or_(INDICATORS.c.type.in_(_SEVERAL), grouped)
            )
        )
    )


def record_parts(
    connection: Connection,
    labels: LabelStore,
    peer: LabId,
    kind: RoundKind,
    round_id: RoundId,
    found: Sequence[tuple[int, Label]],
) -> None:
    """Store the parts of groups that a round found, with the peer's labels."""
    if not found:
        return
    common = (peer, int(kind), round_id)
    rows = [
        (number, int(label.severity), label.confidence, labels.seal(label), label.expires, *common)
        for number, label in found
    ]
    insert_rows(connection, _part_again(connection.dialect.name), _PART, rows)


def settle(
    connection: Connection,
    peer: LabId,
    kind: RoundKind,
    target: str,
    collection: str,
    round_id: RoundId,
    now: int,
) -> tuple[int, int]:
    """Record the groups of which a round found enough parts, and end the collection's other group matches.

    Return the number of groups that match, and the number of new ones among them.
    """
    types = _grouped_types(collection)
    if not types:
        return 0, 0
    current = and_(
        GROUP_MATCHES.c.peer == peer,
        GROUP_MATCHES.c.kind == int(kind),
        GROUP_MATCHES.c.ended_at == 0,
        exists().where(GROUPS.c.id == GROUP_MATCHES.c.group_id, GROUPS.c.type.in_(types)),
    )
    matching = select(func.count()).select_from(GROUP_MATCHES).where(current)
    before = count(connection, matching)
    event, dialect = next_event(connection), connection.dialect.name
    connection.execute(_match_groups(peer, kind, target, round_id, now, event, dialect))
    after = count(connection, matching)
    ended = connection.execute(
        update(GROUP_MATCHES).where(current, GROUP_MATCHES.c.round_id != round_id).values(ended_at=now)
    ).rowcount
    ended += end_incomplete(connection, now, current)
    connection.execute(
        delete(PARTIAL_MATCHES).where(
            PARTIAL_MATCHES.c.peer == peer,
            PARTIAL_MATCHES.c.kind == int(kind),
            PARTIAL_MATCHES.c.round_id != round_id,
            exists().where(INDICATORS.c.id == PARTIAL_MATCHES.c.indicator_id, INDICATORS.c.type.in_(types)),
        )
    )
    return after - ended, after - before


def end_incomplete(connection: Connection, now: int, among: ColumnElement[bool]) -> int:
    """End the group matches that satisfy a condition and have fewer parts than their type needs.

    Return their number. Standing rounds and retention delete parts.
    """
    parts_left = (
        select(func.count())
        .select_from(GROUP_MEMBERS)
        .join(PARTIAL_MATCHES, PARTIAL_MATCHES.c.indicator_id == GROUP_MEMBERS.c.indicator_id)
        .where(
            GROUP_MEMBERS.c.group_id == GROUP_MATCHES.c.group_id,
            PARTIAL_MATCHES.c.peer == GROUP_MATCHES.c.peer,
            PARTIAL_MATCHES.c.kind == GROUP_MATCHES.c.kind,
            PARTIAL_MATCHES.c.round_id == GROUP_MATCHES.c.round_id,
        )
        .scalar_subquery()
    )
    its_type = select(GROUPS.c.type).where(GROUPS.c.id == GROUP_MATCHES.c.group_id).scalar_subquery()
    incomplete = and_(among, GROUP_MATCHES.c.ended_at == 0, parts_left < case(_NEEDED, value=its_type))
    return connection.execute(update(GROUP_MATCHES).where(incomplete).values(ended_at=now)).rowcount


@lru_cache
def _part_again(dialect: str) -> Insert:
    """Return the insert of parts, which updates those that exist. Cached: it is compiled once."""
    statement = upsert(PARTIAL_MATCHES, dialect)
    return statement.on_conflict_do_update(
        index_elements=["peer", "kind", "indicator_id"],
        set_={
            name: statement.excluded[name]
            for name in ("round_id", "severity", "confidence", "label", "expires")
        },
    )


def _grouped_types(collection: str) -> list[str]:
    return [name for name in _NEEDED if REGISTRY[name].collection == collection]


def _match_groups(
    peer: LabId, kind: RoundKind, target: str, round_id: RoundId, now: int, event: int, dialect: str
) -> Insert:
    """Return the insert of the groups of which a round found as many parts as their type needs.

    A current match keeps its number. A match that had ended begins anew, with a new number; `first_matched`
    stays, as for indicators.
    """
    found = PARTIAL_MATCHES.alias()
    # The gravest label is the group's. Labels are long, so the query ranks by number columns first, and then
    # joins the one label that each group needs.
    gravest = (found.c.severity.desc(), found.c.confidence.desc(), found.c.indicator_id)
    counted = (
        select(
            GROUPS.c.id.label("group_id"),
            found.c.indicator_id,
            case(_NEEDED, value=GROUPS.c.type).label("needed"),
            func.count().over(partition_by=GROUPS.c.id).label("tokens"),
            func.row_number().over(partition_by=GROUPS.c.id, order_by=gravest).label("place"),
        )
        .select_from(found)
        .join(GROUP_MEMBERS, GROUP_MEMBERS.c.indicator_id == found.c.indicator_id)
        .join(GROUPS, GROUPS.c.id == GROUP_MEMBERS.c.group_id)
        .where(
            found.c.peer == peer,
            found.c.kind == int(kind),
            found.c.round_id == round_id,
            GROUPS.c.target == target,
        )
        .subquery()
    )
    matching = (
        select(
            func.row_number().over(order_by=counted.c.group_id) + (event - 1),
            PARTIAL_MATCHES.c.peer,
            PARTIAL_MATCHES.c.kind,
            counted.c.group_id,
            PARTIAL_MATCHES.c.round_id,
            PARTIAL_MATCHES.c.label,
            PARTIAL_MATCHES.c.expires,
            counted.c.tokens,
            literal(now),
            literal(0),
        )
        .join_from(counted, PARTIAL_MATCHES, PARTIAL_MATCHES.c.indicator_id == counted.c.indicator_id)
        .where(
            PARTIAL_MATCHES.c.peer == peer,
            PARTIAL_MATCHES.c.kind == int(kind),
            counted.c.place == 1,
            counted.c.tokens >= counted.c.needed,
        )
    )
    columns = [
        "event",
        "peer",
        "kind",
        "group_id",
        "round_id",
        "label",
        "expires",
        "tokens",
        "first_matched",
        "ended_at",
    ]
    statement = upsert(GROUP_MATCHES, dialect).from_select(columns, matching)
    held = is_current(GROUP_MATCHES, now)
    changed = {
        **{name: statement.excluded[name] for name in ("round_id", "label", "expires", "tokens", "ended_at")},
        "event": case((held, GROUP_MATCHES.c.event), else_=statement.excluded.event),
    }
    return statement.on_conflict_do_update(index_elements=["peer", "kind", "group_id"], set_=changed)
