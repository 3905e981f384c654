"""The part of the flagged set that a published table does not show yet: the next version's entries.

A table shows the flagged set in one state (`FlagState`). Its next version adds the indicators that were
flagged or relabelled since that state, and revokes those whose label expired since. The holder reads these
entries to build the version, and the overview counts them: both by the conditions of this module.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, tuple_

from mandorla_protocol.indicators import tokens_of
from mandorla_protocol.labels import Label, Reason, Severity, Tlp

from .held_epoch import FlagState, HeldEpoch
from .schema import FLAGGED, INDICATORS

_INDICATOR = (INDICATORS.c.type, INDICATORS.c.profile, INDICATORS.c.value)
_LABEL = (
    FLAGGED.c.reason,
    FLAGGED.c.severity,
    FLAGGED.c.confidence,
    FLAGGED.c.first_seen,
    FLAGGED.c.expires,
    FLAGGED.c.tlp,
)


class Additions(NamedTuple):
    """A page of the entries that a version adds: indicator ids, joined tokens, and labels.

    `change` is the change number of the last indicator. The fields are columns, not rows: a table has
    millions of entries.
    """

    change: int
    indicator_ids: list[int]
    tokens: bytes
    labels: list[Label]

    def __repr__(self) -> str:
        # A token is a hash of an indicator, and whoever can guess the indicator can compute its token.
        return f"Additions(indicators={len(self.indicator_ids)})"


def flag_state(connection: Connection, now: int) -> FlagState:
    """Return the current state of the flagged set."""
    return FlagState(int(connection.scalar(select(func.max(FLAGGED.c.change))) or 0), now)


def count_unpublished(connection: Connection, covered: FlagState, until: FlagState, collection: str) -> int:
    """Count the entries of the version that takes a table from one state to another, without padding."""
    return sum(
        int(
            connection.execute(
                select(func.count())
                .select_from(FLAGGED)
                .join(INDICATORS, INDICATORS.c.id == FLAGGED.c.indicator_id)
                .where(INDICATORS.c.collection == collection, condition)
            ).scalar_one()
        )
        for condition in (
            and_(FLAGGED.c.change > covered.change, _is_added(until)),
            _is_revoked(covered, until),
        )
    )


def read_additions(
    connection: Connection, held: HeldEpoch, until: FlagState, after: Additions | None, limit: int
) -> Additions | None:
    """Return the next page of added entries, in the order of their changes; None after the last page."""
    if after is None:
        beyond = FLAGGED.c.change > held.covered.change
    else:
        position = (after.change, after.indicator_ids[-1])
        # The comparison of tuples alone is exact. The plain comparison lets the database seek in the index on
        # `change`, which not every version of SQLite does for tuples.
        beyond = and_(
            FLAGGED.c.change >= after.change, tuple_(FLAGGED.c.change, FLAGGED.c.indicator_id) > position
        )
    rows = connection.execute(
        select(FLAGGED.c.change, FLAGGED.c.indicator_id, *_INDICATOR, *_LABEL)
        .join_from(FLAGGED, INDICATORS)
        .where(beyond, _is_added(until), INDICATORS.c.collection == held.epoch.collection)
        .order_by(FLAGGED.c.change, FLAGGED.c.indicator_id)
        .limit(limit)
    ).all()
    if not rows:
        return None
    tokens = tokens_of(row[2:5] for row in rows)
    return Additions(rows[-1][0], [row[1] for row in rows], tokens, [_label(*row[5:]) for row in rows])


def read_revocations(
    connection: Connection, held: HeldEpoch, until: FlagState, after: int, limit: int
) -> tuple[list[int], bytes]:
    """Return the next page of revoked indicators, by id above `after`: ids, and joined tokens.

    The page may name an indicator that an earlier version revoked already, if it was flagged again since with
    a label that has also expired.
    """
    rows = connection.execute(
        select(FLAGGED.c.indicator_id, *_INDICATOR)
        .join_from(FLAGGED, INDICATORS)
        .where(
            _is_revoked(held.covered, until),
            FLAGGED.c.indicator_id > after,
            INDICATORS.c.collection == held.epoch.collection,
        )
        .order_by(FLAGGED.c.indicator_id)
        .limit(limit)
    ).all()
    return [row[0] for row in rows], tokens_of(row[1:] for row in rows)


def _is_added(until: FlagState) -> ColumnElement[bool]:
    """Return the condition that a version adds a flag, given that the flag changed since the last version.

    The caller adds that lower bound on `change`: it moves while the caller pages.
    """
    return and_(FLAGGED.c.change <= until.change, or_(FLAGGED.c.expires == 0, FLAGGED.c.expires > until.time))


def _is_revoked(covered: FlagState, until: FlagState) -> ColumnElement[bool]:
    """Return the condition that a version revokes a flag: published before, and expired now."""
    unchanged = and_(FLAGGED.c.change <= covered.change, FLAGGED.c.expires > covered.time)
    # The row has the newest label only. With its old label, the table held the flag or had revoked it.
    relabelled = and_(
        FLAGGED.c.change > covered.change,
        FLAGGED.c.change <= until.change,
        FLAGGED.c.first_change <= covered.change,
    )
    return and_(FLAGGED.c.expires > 0, FLAGGED.c.expires <= until.time, or_(unchanged, relabelled))


# Many indicators share a label: the cache spares the validation of equal ones.
@lru_cache(maxsize=4096)
def _label(reason: int, severity: int, confidence: int, first_seen: int, expires: int, tlp: int) -> Label:
    return Label(Reason(reason), Severity(severity), confidence, first_seen, expires, Tlp(tlp))
