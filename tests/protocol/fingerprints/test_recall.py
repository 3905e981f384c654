"""The recall and the false matches of fingerprints, within the limits of SPEC A.8.

`make bench-signatures` prints the rates.
"""

from functools import cache

import pytest

from benchmarks.prompts import DATA, learnt, links, mined, needed_by, of_each_prompt, real_row
from benchmarks.templates import Corpus, generate
from mandorla_protocol.fingerprints import CommonValues

real = pytest.mark.skipif(not DATA.is_dir(), reason="the real prompts are not beside this checkout")


@real
@pytest.mark.parametrize(
    ("profile", "recall", "false", "in_a_set"),
    [
        ("prompt-minhash", (0.35, 0.6, 0.95, 0.995), 1e-4, 0.02),
        ("prompt-minhash-wide", (0.75, 0.86, 0.99, 1), 2e-4, 0.04),
        ("prompt-minhash-pairs", (0.63, 0.9, 0.99, 1), 2e-5, 0.015),
        ("prompt-sentence", (0.4, 0.75, 0.9, 0.92), 3e-3, 0.18),
    ],
)
def test_edited_prompts_of_other_platforms_are_found(
    profile: str, recall: tuple[float, ...], false: float, in_a_set: float
) -> None:
    row = real_row(profile)
    assert row.recall is not None
    assert all(found >= floor for found, floor in zip(row.recall, recall, strict=True)), row
    assert row.false <= false
    assert row.in_a_set is not None
    assert row.in_a_set <= in_a_set


@real
def test_pairs_of_words_find_more_than_runs_of_three_at_fewer_false_matches() -> None:
    pairs, runs = real_row("prompt-minhash-pairs"), real_row("prompt-minhash")
    assert pairs.recall is not None
    assert runs.recall is not None
    assert all(one >= other for one, other in zip(pairs.recall, runs.recall, strict=True))
    assert pairs.recall[0] > runs.recall[0] + 0.2
    assert pairs.false < runs.false


@cache
def corpus() -> Corpus:
    return generate(templates=60, benign=1_000)


def test_templates_are_linked_across_three_labs_and_nothing_else_is() -> None:
    linked, false = links(mined(corpus(), learnt(corpus())), needed_by("prompt-template"))
    assert linked >= 0.9
    assert false == 0


def test_without_learning_what_is_common_phrases_link_templates_falsely() -> None:
    _, false = links(mined(corpus(), CommonValues()), needed_by("prompt-template"))
    assert false > 0


@pytest.mark.parametrize("profile", ["whole prompt", "prompt-minhash", "prompt-minhash-pairs"])
def test_fingerprints_of_whole_prompts_do_not_find_templates(profile: str) -> None:
    linked, _ = links(of_each_prompt(corpus(), profile), needed_by(profile))
    assert linked < 0.1
