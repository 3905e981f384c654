"""Values of behaviour (SPEC A.9)."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.fingerprints.behaviour import (
    FEATURES,
    Activity,
    behaviour_values,
    cells,
    measures,
    quarter_logarithm,
)
from mandorla_protocol.indicators import REGISTRY, Indicator

DAY = 86_400
MEASURED = st.tuples(*(st.none() | st.integers(0, 100) for _ in FEATURES))
ACTIVITIES = st.builds(
    Activity,
    st.lists(st.integers(0, 30 * DAY), min_size=50, max_size=80),
    st.lists(st.text(st.sampled_from("ab É\n.ﬁ"), max_size=12), max_size=8),
    st.integers(0, 1000),
)


def by_the_text(measured: tuple[int | None, ...]) -> set[tuple[int, ...]]:
    """Return cells by steps 1 to 4 of SPEC A.9, in fractions."""
    widths, shifts = (4, 8, 4, 8, 8, 4), (0, 4, 0, 4, 4, 2)
    choices, distances = [], []
    for index, number in enumerate(measured):
        if number is None:
            choices.append([255])
            continue
        coordinate, place = divmod(number + shifts[index], widths[index])
        below = 2 * place + 1 <= widths[index]
        choices.append([coordinate, coordinate - 1 if below else coordinate + 1])
        if coordinate or not below:
            p = place if below else widths[index] - 1 - place
            distances.append((Fraction(8 * (2 * p + 1), widths[index]), index))
    probed = {index for _, index in sorted(distances)[:4]}
    return set(product(*(c if i in probed else c[:1] for i, c in enumerate(choices))))


@pytest.mark.spec("A.9-2")
@given(measured=MEASURED)
def test_cells_are_those_of_the_text(measured: tuple[int | None, ...]) -> None:
    found = cells(measured)
    assert len(found) == len(set(found)) <= 16
    assert set(found) == by_the_text(measured)


@given(activity=ACTIVITIES)
def test_values_are_the_hashes_of_cells(activity: Activity) -> None:
    domain = b"mandorla/v1 behaviour"
    start = len(domain).to_bytes(4, "big") + domain
    expected = {
        hashlib.blake2b(start + bytes(cell), digest_size=16).hexdigest() for cell in cells(measures(activity))
    }
    values = behaviour_values(activity)
    assert list(values) == sorted(expected)
    assert all(Indicator.parse("behaviour", value).value == value for value in values)


@given(numerator=st.integers(1, 2**60), denominator=st.integers(1, 2**30))
def test_a_quarter_logarithm_is_exact(numerator: int, denominator: int) -> None:
    numerator = max(numerator, denominator)
    found = quarter_logarithm(numerator, denominator)
    assert 2**found * denominator**4 <= numerator**4 < 2 ** (found + 1) * denominator**4
    assert abs(found - 4 * math.log2(numerator / denominator)) < 1.001


def test_features_by_example() -> None:
    # On two days, requests for an hour from 05:30, every 36 s, with three pauses of 4 min.
    times = [
        day * DAY + 19_800 + 36 * number + 240 * (number // 25) for day in (1, 2) for number in range(100)
    ]
    prompts = [
        "Explain step by step, as a teacher would: osmosis",
        "EXPLAIN step by step as a teacher would photosynthesis",
        "Explain step by step ... as A teacher would osmosis",
        "What is the longest river?",
    ]
    rate, night, regularity, reuse, spread, sharing = measures(Activity(times, prompts, 5))
    assert rate == math.floor(4 * math.log2(100))
    assert night == 64 * sum(time % DAY < 21_600 for time in times) // 200
    assert regularity == 0
    assert (reuse, spread) == (48, 48)
    assert sharing == math.floor(4 * math.log2(5))


@given(activity=ACTIVITIES, seed=st.randoms())
def test_the_order_of_requests_does_not_matter(activity: Activity, seed: object) -> None:
    shuffled = sorted(activity.times, key=lambda time: (time * 7919) % 1009)
    other = Activity(shuffled, activity.prompts, activity.sharing)
    assert behaviour_values(other) == behaviour_values(activity)


def test_few_requests_are_no_behaviour() -> None:
    assert behaviour_values(Activity(range(0, 49 * 60, 60))) == ()
    assert len(behaviour_values(Activity(range(0, 50 * 60, 60)))) > 1


def test_accounts_that_differ_a_little_match_and_others_do_not() -> None:
    needed = REGISTRY["behaviour"].needed
    one = Activity([60 * n for n in range(2000)], ["a b c d e f ocean"] * 64, 8)
    like = Activity([66 * n + 7 for n in range(1900)], ["a b c d e f ocean"] * 60 + ["x"] * 4, 8)
    other = Activity([9 * n * n for n in range(90)], [f"{chr(97 + n % 26) * 9} x" for n in range(64)], 1)
    values = set(behaviour_values(one))
    assert len(values & set(behaviour_values(like))) >= needed
    assert len(values & set(behaviour_values(other))) < needed


def test_an_activity_prints_nothing_of_itself() -> None:
    assert "sentinel" not in repr(Activity([1], ["sentinel"]))
