"""The lines of an audit's report."""

from __future__ import annotations

from datetime import UTC, datetime

import hypothesis.strategies as st
from hypothesis import given

from mandorla_protocol.audit.report import _when


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59)))
def test_a_time_is_written_by_the_calendar(moment: datetime) -> None:
    known = moment.replace(tzinfo=UTC)
    assert _when(int(known.timestamp())) == known.strftime("%Y-%m-%d %H:%M UTC").rjust(20, "0")


def test_a_time_that_no_clock_shows_is_written_too() -> None:
    assert _when(2**64 - 1).endswith(" UTC")
