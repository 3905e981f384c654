"""Flagged and observed indicators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import and_, bindparam, exists, func, insert, select

from mandorla_protocol.indicators import REGISTRY, Collection, Indicator
from mandorla_protocol.labels import Label

from ..core.clock import Clock
from . import groups
from .bulk import execute_given
from .database import Database
from .queries import count, highest
from .schema import FLAGGED, INDICATORS, INGESTS, OBSERVED


class IndicatorSet(StrEnum):
    """The two sets of a lab: indicators that it judged malicious, and indicators that it saw."""

    FLAGGED = "flagged"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class LabelledIndicator:
    """An indicator and this lab's label, which the observed set ignores.

    `group` names the group that the indicator is a fingerprint of, if any (SPEC A.5).
    """

    indicator: Indicator
    label: Label
    group: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """Distinct indicators of an ingest's rows: `added` are new to the set, `known` were in it before."""

    ingest_id: int
    added: int
    known: int


@dataclass(frozen=True, slots=True)
class Membership:
    """The sets of this lab that hold an indicator.

    `indicator_id` is 0 for an indicator that the store does not know; `flagged_until` is 0 for a flag that
    never expires.
    """

    indicator_id: int = 0
    observed: bool = False
    flagged: bool = False
    flagged_until: int = 0


IS_INDICATOR = and_(
    INDICATORS.c.value == bindparam("value"),
    INDICATORS.c.type == bindparam("type"),
    INDICATORS.c.profile == bindparam("profile"),
)
"""The condition that selects the row of an indicator; `indicator_parameters` returns its parameters."""


def indicator_parameters(indicator: Indicator) -> dict[str, str | int]:
    """Return the parameters of `IS_INDICATOR`."""
    return {"value": indicator.value, "type": indicator.type, "profile": indicator.profile}


_INDICATOR: Final = (("value", "text"), ("type", "text"), ("profile", "smallint"))

# NOT EXISTS, not ON CONFLICT: for a conflict, PostgreSQL would use up an id for each known indicator.
_ADD_INDICATORS: Final = """
    INSERT INTO indicators (value, type, profile, collection)
    SELECT value, type, profile, collection FROM given
    WHERE NOT EXISTS (
        SELECT 1 FROM indicators
        WHERE indicators.value = given.value AND indicators.type = given.type
            AND indicators.profile = given.profile
    )
"""

_LABEL: Final = (
    ("reason", "smallint"),
    ("severity", "smallint"),
    ("confidence", "smallint"),
    ("first_seen", "bigint"),
    ("expires", "bigint"),
    ("tlp", "smallint"),
)
_FLAG: Final = """
    INSERT INTO flagged (
        indicator_id, reason, severity, confidence, first_seen, expires, tlp,
        change, first_change, added_by, touched_by
    )
    SELECT indicators.id, reason, severity, confidence, first_seen, expires, tlp, ?, ?, ?, ?
    FROM given CROSS JOIN indicators
    WHERE indicators.value = given.value AND indicators.type = given.type
        AND indicators.profile = given.profile
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
"""

_OBSERVE: Final = """
    INSERT INTO observed (indicator_id, first_seen, last_seen, change, added_by, touched_by)
    SELECT indicators.id, ?, ?, ?, ?, ? FROM given CROSS JOIN indicators
    WHERE indicators.value = given.value AND indicators.type = given.type
        AND indicators.profile = given.profile
    ON CONFLICT (indicator_id) DO UPDATE SET last_seen = excluded.last_seen, touched_by = excluded.touched_by
    WHERE observed.touched_by <> excluded.touched_by
"""

_SEEN: Final = (("number", "bigint"), ("moment", "bigint"))
_TOUCH: Final = """
    UPDATE observed SET last_seen = given.moment FROM given WHERE observed.indicator_id = given.number
"""


class Indicators:
    """The flagged and the observed set of this lab."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(
        self, target: IndicatorSet, rows: Sequence[LabelledIndicator], ingest_id: int | None
    ) -> IngestCounts:
        """Add rows to a set, as a part of an ingest, or as a new one if `ingest_id` is None.

        The first row of an indicator in an ingest counts; later ones only add their groups: an indicator
        belongs to every group that a row names for it.
        """
        now = self._clock()
        with self._database.write() as connection:
            if ingest_id is None:
                created = insert(INGESTS).values(at=now, target=target.value).returning(INGESTS.c.id)
                ingest_id = int(connection.execute(created).scalar_one())
            # In reverse order, so that the first row of an indicator overwrites the later ones.
            first = {_key(row): row for row in reversed(rows)}
            members = [*reversed(first.items())]
            values = [(*key, REGISTRY[row.indicator.type].collection.value) for key, row in members]
            execute_given(connection, _ADD_INDICATORS, (*_INDICATOR, ("collection", "text")), values)
            table = FLAGGED if target is IndicatorSet.FLAGGED else OBSERVED
            change = highest(connection, table.c.change) + 1
            new = table.c.change == change
            if target is IndicatorSet.FLAGGED:
                flags = [(*key, *_label(row.label, now)) for key, row in members]
                numbers = (change, change, ingest_id, ingest_id)
                touched = execute_given(connection, _FLAG, (*_INDICATOR, *_LABEL), flags, numbers)
                new = and_(new, table.c.first_change == change)
            else:
                seen = [key for key, _ in members]
                touched = execute_given(
                    connection, _OBSERVE, _INDICATOR, seen, (now, now, change, ingest_id, ingest_id)
                )
            groups.join(connection, target.value, [(row.indicator, row.group) for row in rows if row.group])
            added = count(connection, select(func.count()).select_from(table).where(new))
        return IngestCounts(ingest_id, added, touched - added)

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
            return highest(connection, INGESTS.c.id)

    def flagged_collections(self) -> list[str]:
        """Return the collections that have flagged indicators."""
        member = exists().where(
            FLAGGED.c.indicator_id == INDICATORS.c.id, INDICATORS.c.collection == bindparam("collection")
        )
        with self._database.read() as connection:
            return [
                name.value for name in Collection if connection.scalar(select(member), {"collection": name})
            ]

    def memberships(self, indicators: Iterable[Indicator]) -> dict[Indicator, Membership]:
        """Return the sets that hold each indicator; a flag whose label has expired does not count."""
        lookup = (
            select(INDICATORS.c.id, OBSERVED.c.indicator_id.label("observed"), FLAGGED.c.expires)
            .outerjoin_from(INDICATORS, OBSERVED)
            .outerjoin(FLAGGED, FLAGGED.c.indicator_id == INDICATORS.c.id)
            .where(IS_INDICATOR)
        )
        now = self._clock()
        found = {}
        with self._database.read() as connection:
            for indicator in indicators:
                row = connection.execute(lookup, indicator_parameters(indicator)).one_or_none()
                if row is None:
                    found[indicator] = Membership()
                else:
                    flagged = row.expires is not None and not 0 < row.expires <= now
                    observed = row.observed is not None
                    found[indicator] = Membership(row.id, observed, flagged, row.expires if flagged else 0)
        return found

    def record_last_seen(self, seen: Mapping[int, int]) -> None:
        """Record the times at which observed indicators were last seen, by indicator id."""
        with self._database.write() as connection:
            execute_given(connection, _TOUCH, _SEEN, sorted(seen.items()))


def _key(row: LabelledIndicator) -> tuple[str, str, int]:
    return row.indicator.value, row.indicator.type, row.indicator.profile


def _label(label: Label, now: int) -> tuple[int, ...]:
    return (
        int(label.reason),
        int(label.severity),
        label.confidence,
        label.first_seen or now,
        label.expires,
        int(label.tlp),
    )
