"""Confidence intervals of means."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mandorla_simulations.statistics import estimate, estimate_known


def quantile(count: int) -> float:
    """Return how many standard errors wide half of an interval is."""
    values = [float(number) for number in range(count)]
    found = estimate(values)
    assert found.high is not None
    variance = sum((value - found.mean) ** 2 for value in values) / (count - 1)
    return (found.high - found.mean) / math.sqrt(variance / count)


# As scipy.stats.t.ppf(0.975, freedom) gives them.
@pytest.mark.parametrize(
    ("freedom", "expected"),
    [
        (1, 12.70620),
        (2, 4.30265),
        (5, 2.57058),
        (30, 2.04227),
        (31, 2.03951),
        (40, 2.02108),
        (60, 2.00030),
        (999, 1.96234),
    ],
)
def test_intervals_are_those_of_students_t_for_any_number_of_seeds(freedom: int, expected: float) -> None:
    assert quantile(freedom + 1) == pytest.approx(expected, abs=5.1e-4)


def test_more_seeds_never_widen_an_interval_by_themselves() -> None:
    widths = [quantile(count) for count in range(2, 200)]
    assert widths == sorted(widths, reverse=True)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=40))
def test_the_mean_is_in_its_interval(values: list[float]) -> None:
    found = estimate(values)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean <= found.high


def test_one_seed_has_no_interval_and_none_has_no_mean() -> None:
    assert (estimate([3.0]).mean, estimate([3.0]).low, estimate([3.0]).high) == (3.0, None, None)
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_a_missing_value_leaves_no_estimate() -> None:
    assert estimate_known([1.0, None]) is None
    assert estimate_known([1.0, 3.0]) == estimate([1.0, 3.0])
