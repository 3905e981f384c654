"""A bucket gives at once what it holds, in the long run its rate, and no more than both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.core.token_bucket import TokenBucket


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 64)), max_size=40))
def test_what_is_spent_is_bounded_by_the_time(spent: list[tuple[int, int]]) -> None:
    now = 0.0
    bucket = TokenBucket(2.0, 10.0, lambda: now)
    total = largest = 0
    for wait, amount in spent:
        now += wait
        if bucket.wait:
            now += bucket.wait
        assert bucket.wait == 0
        bucket.overdraw(amount)
        total, largest = total + amount, max(largest, amount)
        assert total <= 10 + 2 * now + largest + 1e-6


def test_it_waits_as_long_as_it_takes_to_fill() -> None:
    now = 0.0
    bucket = TokenBucket(2.0, 10.0, lambda: now)
    bucket.overdraw(10)
    assert bucket.wait == 0
    bucket.overdraw(3)
    assert bucket.wait == pytest.approx(1.5)
    now += 1.0
    assert bucket.wait == pytest.approx(0.5)
    now += 100
    bucket.overdraw(10)
    assert bucket.wait == 0, "no more is saved up than the burst"


def test_what_is_not_there_is_not_taken() -> None:
    bucket = TokenBucket(2.0, 10.0, lambda: 0.0)
    assert bucket.take(10)
    assert not bucket.take(1)
    assert bucket.wait == 0, "what is refused is not owed"
