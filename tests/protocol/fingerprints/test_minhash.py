"""Near-equal prompts share bands (SPEC A.8)."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.fingerprints import (
    minhash_pairs_values,
    minhash_values,
    minhash_wide_values,
    normalise,
    words,
)
from mandorla_protocol.fingerprints.minhash import (
    _BLOCK,
    BANDINGS,
    PAIRS,
    PRECISE,
    WIDE,
    Banding,
    _minima,
    _run_hashes,
    band_values,
)
from mandorla_protocol.indicators import REGISTRY, Collection, Indicator
from tests.protocol.fingerprints.test_prompt_text import TEXT

WORDS = [f"w{chr(97 + one)}{chr(97 + other)}" for one in range(26) for other in range(26)]


def some_words(count: int, seed: int = 1) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


@pytest.mark.parametrize(
    ("values", "banding"),
    [(minhash_values, PRECISE), (minhash_wide_values, WIDE), (minhash_pairs_values, PAIRS)],
)
def test_a_prompt_has_a_value_a_band_each_an_indicator(
    values: Callable[[str], tuple[str, ...]], banding: Banding
) -> None:
    prompt = " ".join(some_words(200))
    found = values(prompt)
    assert len(set(found)) == banding.bands
    assert found == band_values(words(normalise(prompt)), banding)
    kind = REGISTRY[banding.name]
    assert kind.collection is Collection.PROMPTS
    assert [Indicator.parse(kind.name, value).value for value in found] == list(found)


def test_the_needed_numbers_are_those_of_the_specification() -> None:
    assert [REGISTRY[banding.name].needed for banding in BANDINGS] == [1, 3, 2]


@given(prompt=TEXT)
def test_any_text_has_all_values_or_none(prompt: str) -> None:
    assert len(minhash_values(prompt)) in (0, 25)


@pytest.mark.spec("A.8-3")
def test_what_is_short_or_repeats_itself_has_no_values() -> None:
    assert minhash_values("one two three four five six seven eight nine") == ()
    assert len(minhash_values("one two three four five six seven eight nine ten")) == 25
    assert minhash_values("say it again " * 100) == ()
    assert minhash_values("1.5, 2.5, 3.5\n" * 100) == ()


def test_profiles_share_no_value() -> None:
    prompt = " ".join(some_words(200))
    found = [*minhash_values(prompt), *minhash_wide_values(prompt), *minhash_pairs_values(prompt)]
    assert len(set(found)) == 25 + 42 + 64


def test_minima_agree_as_often_as_runs_overlap() -> None:
    for shared in (50, 150, 250):
        head = some_words(shared)
        one, other = (_run_hashes(head + some_words(300 - shared, seed), 2) for seed in (2, 3))
        overlap = len(np.intersect1d(one, other)) / len(np.union1d(one, other))
        agree = float(np.mean(_minima(one, 320) == _minima(other, 320)))
        assert abs(agree - overlap) < 4 * (overlap * (1 - overlap) / 320) ** 0.5


def test_minima_do_not_depend_on_how_runs_are_cut_into_blocks() -> None:
    runs = _run_hashes(some_words(3 * _BLOCK), 3)
    assert len(runs) > _BLOCK
    whole = np.minimum(_minima(runs[:1_000], 126), _minima(runs[1_000:], 126))
    assert np.array_equal(_minima(runs, 126), whole)


@given(cut=st.integers(0, 100), seed=st.integers(0, 1000))
def test_one_word_more_leaves_the_prompt_recognised(cut: int, seed: int) -> None:
    prompt = some_words(200, seed)
    edited = [*prompt[:cut], "inserted", *prompt[cut:]]
    shared = set(minhash_pairs_values(" ".join(prompt))) & set(minhash_pairs_values(" ".join(edited)))
    assert len(shared) >= 2
