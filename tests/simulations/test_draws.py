"""Draws: functions of seed, stream, entity and purpose, the same on every machine."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from mandorla_simulations.draws import Stream, _mix, waiting_time

small = st.integers(0, 5_000)


def test_the_generator_is_splitmix64() -> None:
    # The first outputs of the published generator from the state 0.
    state, outputs = 0, []
    for _ in range(3):
        outputs.append(_mix(state))
        state = (state + 0x9E3779B97F4A7C15) % 2**64
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(seed=st.integers(0, 2**63), entity=small, purpose=small)
def test_all_ways_to_draw_agree(seed: int, entity: int, purpose: int) -> None:
    stream = Stream(seed, "something")
    drawn = stream.unit(entity, purpose)
    assert 0 <= drawn < 1
    assert stream.cached_unit(entity, purpose) == drawn
    assert stream.units(entity + 1, purpose)[entity] == drawn


@given(bound=st.integers(1, 10**6), entity=small)
def test_below_stays_below(bound: int, entity: int) -> None:
    assert 0 <= Stream(1, "numbers").below(bound, entity) < bound


def test_streams_seeds_and_purposes_are_unrelated() -> None:
    draws = [
        Stream(1, "a").units(4_000),
        Stream(1, "b").units(4_000),
        Stream(2, "a").units(4_000),
        Stream(1, "a").units(4_000, purpose=1),
    ]
    for one in draws:
        assert abs(one.mean() - 0.5) < 0.02
        assert abs(np.histogram(one, 10, (0, 1))[0] - 400).max() < 100
    correlations = np.corrcoef(draws) - np.eye(4)
    assert abs(correlations).max() < 0.06


def test_a_draw_is_what_it_always_was() -> None:
    assert Stream(2026, "campaign-a").unit(7, 3) == 0.15397823695982837


@given(unit=st.floats(0, 1, exclude_max=True), other=st.floats(0, 1, exclude_max=True))
def test_waiting_grows_with_the_draw(unit: float, other: float) -> None:
    low, high = sorted((unit, other))
    assert 0 <= waiting_time(low) <= waiting_time(high) < 8


def test_waiting_is_exponential_with_mean_one() -> None:
    waits = [waiting_time((number + 0.5) / 10_000) for number in range(10_000)]
    assert abs(sum(waits) / len(waits) - 1) < 0.002
    for at in (0.1, 1.0, 3.0):
        survive = sum(wait > at for wait in waits) / len(waits)
        assert abs(survive - np.exp(-at)) < 0.002
