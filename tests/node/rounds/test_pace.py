"""A standing round asks at once while that is seldom, and never spends more than a budget in its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.rounds import pace
from mandorla_node.rounds.pace import Pace


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 64)), max_size=40))
def test_what_is_spent_is_bounded_by_the_time(spent: list[tuple[int, int]]) -> None:
    now = 0.0
    one = Pace(2.0, 10.0, lambda: now)
    total = largest = 0
    for wait, amount in spent:
        now += wait
        if one.wait:
            now += one.wait
        assert one.wait == 0
        one.spend(amount)
        total, largest = total + amount, max(largest, amount)
        assert total <= 10 + 2 * now + largest + 1e-6


def test_it_waits_as_long_as_it_takes_to_fill() -> None:
    now = 0.0
    one = Pace(2.0, 10.0, lambda: now)
    one.spend(10)
    assert one.wait == 0
    one.spend(3)
    assert one.wait == pytest.approx(1.5)
    now += 1.0
    assert one.wait == pytest.approx(0.5)
    now += 100
    one.spend(10)
    assert one.wait == 0, "no more is saved up than the burst"


def test_a_budget_lasts_for_thirty_days_whatever_is_seen() -> None:
    now = 0.0
    one = pace.question_pace(1_000_000, lambda: now)
    spent = 0
    while now < 30 * 24 * 3600:
        now += max(one.wait, 60.0)
        one.spend(4_096)
        spent += 4_096
    assert spent <= 1.11 * 1_000_000
