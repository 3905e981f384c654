"""Flagged and observed indicators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import bindparam, case, exists, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mandorla_protocol.indicators import REGISTRY, Collection, Indicator
from mandorla_protocol.labels import Label

from ..clock import Clock
from . import groups
from .database import Database
from .schema import FLAGGED, INDICATORS, INGESTS, OBSERVED


class IndicatorSet(StrEnum):
    """What a lab judged malicious, or merely saw."""

    FLAGGED = "flagged"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class LabelledIndicator:
    """An indicator and what this lab says about it; observed indicators ignore the label.

    `group` names the group that it is a fingerprint of, if any (SPEC 4.5).
    """

    indicator: Indicator
    label: Label
    group: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """Distinct indicators that an ingest brought: new to the set, and known to it."""

    added: int
    known: int


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where an indicator is: its id, 0 for nowhere; and when its flag expires, 0 for never."""

    number: int = 0
    observed: bool = False
    flagged: bool = False
    flagged_until: int = 0


_FLAG = text("""
    INSERT INTO flagged (
        indicator_id, reason, severity, confidence, first_seen, expires, tlp,
        change, first_change, added_by, touched_by
    )
    SELECT id, :reason, :severity, :confidence, :first_seen, :expires, :tlp,
        :change, :change, :ingest, :ingest
    FROM indicators WHERE value = :value AND type = :type AND profile = :profile
    ON CONFLICT (indicator_id) DO UPDATE SET
        change = CASE
            WHEN flagged.reason <> excluded.reason OR flagged.severity <> excluded.severity
                OR flagged.confidence <> excluded.confidence OR flagged.expires <> excluded.expires
                OR flagged.tlp <> excluded.tlp
            THEN excluded.change ELSE flagged.change END,
        reason = excluded.reason,
        severity = excluded.severity,
        confidence = excluded.confidence,
        first_seen = CASE
            WHEN excluded.first_seen < flagged.first_seen THEN excluded.first_seen
            ELSE flagged.first_seen END,
        expires = excluded.expires,
        tlp = excluded.tlp,
        touched_by = excluded.touched_by
    WHERE flagged.touched_by <> excluded.touched_by
""")

_OBSERVE = text("""
    INSERT INTO observed (indicator_id, first_seen, last_seen, change, added_by, touched_by)
    SELECT id, :now, :now, :change, :ingest, :ingest
    FROM indicators WHERE value = :value AND type = :type AND profile = :profile
    ON CONFLICT (indicator_id) DO UPDATE SET last_seen = excluded.last_seen, touched_by = excluded.touched_by
    WHERE observed.touched_by <> excluded.touched_by
""")


class Indicators:
    """The flagged and the observed set of this lab."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, target: IndicatorSet, rows: Sequence[LabelledIndicator], ingest_id: int | None) -> int:
        """Take rows into a set, as part of an ingest or as a new one; return the ingest's id.

        A row that the same ingest already brought changes nothing, but that a group of its own is added:
        an indicator belongs to every group that a row named for it.
        """
        now = self._clock()
        with self._database.write() as connection:
            if ingest_id is None:
                created = insert(INGESTS).values(at=now, target=target.value).returning(INGESTS.c.id)
                ingest_id = int(connection.execute(created).scalar_one())
            connection.execute(upsert(INDICATORS).on_conflict_do_nothing(), [_indicator(row) for row in rows])
            table = FLAGGED if target is IndicatorSet.FLAGGED else OBSERVED
            last = connection.scalar(select(func.coalesce(func.max(table.c.change), 0)))
            common: dict[str, str | int] = {"ingest": ingest_id, "now": now, "change": int(last or 0) + 1}
            if target is IndicatorSet.FLAGGED:
                connection.execute(_FLAG, [_indicator(row) | _label(row.label, now) | common for row in rows])
            else:
                connection.execute(_OBSERVE, [_indicator(row) | common for row in rows])
            groups.join(connection, target.value, [(row.indicator, row.group) for row in rows if row.group])
        return ingest_id

    def counts(self, target: IndicatorSet, ingest_id: int | None) -> IngestCounts:
        """Count what an ingest added to a set, and what it found there."""
        table = FLAGGED if target is IndicatorSet.FLAGGED else OBSERVED
        with self._database.read() as connection:
            added, touched = connection.execute(
                select(
                    func.coalesce(func.sum(case((table.c.added_by == ingest_id, 1), else_=0)), 0),
                    func.count(),
                ).where(table.c.touched_by == ingest_id)
            ).one()
        return IngestCounts(added, touched - added)

    def sizes(self) -> list[tuple[str, IndicatorSet, int]]:
        """Count each set by type."""
        with self._database.read() as connection:
            return [
                (row.type, target, row.members)
                for target, table in ((IndicatorSet.FLAGGED, FLAGGED), (IndicatorSet.OBSERVED, OBSERVED))
                for row in connection.execute(
                    select(INDICATORS.c.type, func.count().label("members"))
                    .join_from(table, INDICATORS)
                    .group_by(INDICATORS.c.type)
                    .order_by(INDICATORS.c.type)
                )
            ]

    def last_ingest(self) -> int:
        """Return the id of the last ingest, 0 before the first."""
        with self._database.read() as connection:
            return int(connection.scalar(select(func.coalesce(func.max(INGESTS.c.id), 0))) or 0)

    def flagged_collections(self) -> list[str]:
        """Return the collections in which something is flagged."""
        member = exists().where(
            FLAGGED.c.indicator_id == INDICATORS.c.id, INDICATORS.c.collection == bindparam("collection")
        )
        with self._database.read() as connection:
            return [one.value for one in Collection if connection.scalar(select(member), {"collection": one})]

    def whereabouts(self, indicators: Iterable[Indicator]) -> dict[Indicator, Whereabouts]:
        """Say of each indicator whether this lab flagged it, with a label that holds, and observed it."""
        one = (
            select(INDICATORS.c.id, OBSERVED.c.indicator_id.label("observed"), FLAGGED.c.expires)
            .outerjoin_from(INDICATORS, OBSERVED)
            .outerjoin(FLAGGED, FLAGGED.c.indicator_id == INDICATORS.c.id)
            .where(
                INDICATORS.c.value == bindparam("value"),
                INDICATORS.c.type == bindparam("type"),
                INDICATORS.c.profile == bindparam("profile"),
            )
        )
        now = self._clock()
        found = {}
        with self._database.read() as connection:
            for indicator in indicators:
                names = {"value": indicator.value, "type": indicator.type, "profile": indicator.profile}
                row = connection.execute(one, names).one_or_none()
                if row is None:
                    found[indicator] = Whereabouts()
                else:
                    flagged = row.expires is not None and not 0 < row.expires <= now
                    observed = row.observed is not None
                    found[indicator] = Whereabouts(row.id, observed, flagged, row.expires if flagged else 0)
        return found

    def touch(self, seen: Mapping[int, int]) -> None:
        """Record when observed indicators were seen last, by id."""
        last = update(OBSERVED).where(OBSERVED.c.indicator_id == bindparam("number"))
        with self._database.write() as connection:
            connection.execute(
                last.values(last_seen=bindparam("at")),
                [{"number": number, "at": at} for number, at in sorted(seen.items())],
            )


def _indicator(row: LabelledIndicator) -> dict[str, str | int]:
    return {
        "type": row.indicator.type,
        "profile": row.indicator.profile,
        "value": row.indicator.value,
        "collection": REGISTRY[row.indicator.type].collection.value,
    }


def _label(label: Label, now: int) -> dict[str, str | int]:
    return {
        "reason": int(label.reason),
        "severity": int(label.severity),
        "confidence": label.confidence,
        "first_seen": label.first_seen or now,
        "expires": label.expires,
        "tlp": int(label.tlp),
    }
