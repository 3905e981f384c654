"""Templates, mined from the prompts of many accounts (SPEC A.8)."""

import random
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.fingerprints import mine, template_values
from mandorla_protocol.fingerprints.template import MAX_VALUES, MIN_ACCOUNTS, ordered_values
from mandorla_protocol.indicators import Indicator
from tests.protocol.fingerprints.test_prompt_text import TEXT

SOLVE = "solve the problem below and write down every step of it"
REVIEW = "review the following function and name each fault that you find"
PHRASE = "please think about it carefully before you give an answer"


def payload(number: int) -> str:
    draw = random.Random(number)
    return " ".join("".join(draw.choices("abcdefghij", k=6)) for _ in range(30))


def sent(template: str, accounts: range, lab: str = "") -> list[tuple[str, str]]:
    """Return prompts of one template, each with its own account and payload."""
    return [(f"{lab}{number}", f"{template}: {payload(number)}") for number in accounts]


def test_ten_accounts_make_a_template_and_nine_do_not() -> None:
    assert MIN_ACCOUNTS == 10
    (group,) = mine(sent(SOLVE, range(10))).values()
    assert group == template_values(SOLVE)
    assert mine(sent(SOLVE, range(9))) == {}


def test_accounts_count_and_not_prompts() -> None:
    prompts = sent(SOLVE, range(9))
    assert mine(prompts + [("0", prompt) for _, prompt in sent(SOLVE, range(10, 40))]) == {}


@pytest.mark.spec("A.8-4")
@pytest.mark.parametrize("accounts", [-1, 0, 1])
def test_what_one_account_says_is_no_template(accounts: int) -> None:
    with pytest.raises(InputError) as caught:
        mine(sent(SOLVE, range(10)), accounts)
    assert caught.value.code is Code.BAD_INPUT
    assert len(mine(sent(SOLVE, range(2)), 2)) == 1


@pytest.mark.spec("A.8-4")
def test_payloads_are_not_mined() -> None:
    mined = frozenset(chain.from_iterable(mine(sent(SOLVE, range(50))).values()))
    for number in range(50):
        assert mined.isdisjoint(template_values(payload(number)))


def test_a_phrase_that_two_templates_share_does_not_join_them() -> None:
    one = sent(f"{SOLVE} {PHRASE}", range(20))
    other = sent(f"{REVIEW} {PHRASE}", range(20, 40))
    groups = mine(one + other).values()
    assert len(groups) == 3
    for template in (SOLVE, REVIEW, PHRASE):
        assert sum(template_values(template) <= group for group in groups) == 1


def test_common_values_are_left_out() -> None:
    prompts = sent(f"{SOLVE} {PHRASE}", range(20)) + sent(f"{REVIEW} {PHRASE}", range(20, 40))
    common = template_values(PHRASE)
    groups = mine(prompts, common=common).values()
    assert len(groups) == 2
    assert all(common.isdisjoint(group) for group in groups)


def test_parts_on_both_sides_of_a_payload_are_one_template() -> None:
    prompts = [(account, f"{prompt} {REVIEW}") for account, prompt in sent(SOLVE, range(20))]
    (group,) = mine(prompts).values()
    assert group == template_values(SOLVE) | template_values(REVIEW)


def test_two_labs_keep_the_same_values_of_a_long_template() -> None:
    long = payload(1) + payload(2) + payload(3)
    (one,) = mine(sent(long, range(20))).values()
    (other,) = mine(sent(long, range(20, 40))).values()
    assert one == other == frozenset(sorted(template_values(long))[:MAX_VALUES])


@settings(max_examples=20)
@given(seed=st.randoms(use_true_random=False))
def test_the_order_of_prompts_changes_nothing(seed: random.Random) -> None:
    prompts = [
        *sent(f"{SOLVE} {PHRASE}", range(12)),
        *sent(f"{REVIEW} {PHRASE}", range(6, 20)),
        *sent(PHRASE, range(15, 30)),
    ]
    shuffled = list(prompts)
    seed.shuffle(shuffled)
    assert list(mine(shuffled).items()) == list(mine(prompts).items())


@given(prompt=TEXT)
def test_every_value_is_an_indicator_and_none_comes_twice(prompt: str) -> None:
    found = ordered_values(prompt)
    assert frozenset(found) == template_values(prompt)
    assert len(set(found)) == len(found)
    for value in found:
        assert Indicator.parse("prompt-template", value).value == value


def test_rows_of_numbers_and_repetitions_have_no_values() -> None:
    assert template_values("1, 2, 3, 4, 5, 6, 7, 8") == frozenset()
    assert template_values("very very very bad and bad") == frozenset()
    assert len(template_values("very very very bad and sad")) == 1
