"""The normalised words of a prompt (SPEC A.8)."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mandorla_protocol.fingerprints import normalise, words
from mandorla_protocol.fingerprints.prompt_text import MAX_CHARACTERS, MAX_LETTERS, MAX_WORDS, sentences

MARKUP = st.text(st.sampled_from("ab1é _-./:{}<>[]()$%sw?\n\u0301\u200d\ud800请ſİ\u0345\u00a0"), max_size=60)
TEXT = st.one_of(st.text(st.characters(), max_size=80), MARKUP)


@pytest.mark.spec("A.8-1")
def test_what_an_operator_varies_at_no_cost_is_gone() -> None:
    spellings = [
        "Explain TOPIC 12 in 3 steps.",
        "explain topic 7, in 250 steps!",
        "**Ｅｘｐｌａｉｎ**\ttopic_1 -- in\u00a04\nsteps",
        "Ex\u200bpla\u00adin to\u0336pic ٣ in 1 steps",
    ]
    assert {normalise(one) for one in spellings} == {"explain topic 0 in 0 steps"}


def test_the_example_of_the_specification() -> None:
    found = normalise("Hi! Use {topic} and 12 URLs: https://a.example/x")
    assert found == "hi use SLOT and 0 urls URL"


@given(prompt=TEXT)
@example("\ud800\udfff")
@example("{" * 500 + "a" * 500)
@example("İ{x}")
def test_any_text_has_words_that_stand_alone(prompt: str) -> None:
    found = normalise(prompt)
    assert found == " ".join(found.split(" ")).strip()
    found.encode()
    for word in found.split():
        assert word in ("SLOT", "URL") or normalise(word) == word
        assert all(unicodedata.category(one)[0] in "LN" for one in word)


@given(prompt=TEXT)
def test_words_are_normalised_but_for_the_capitals_of_the_markers(prompt: str) -> None:
    found = normalise(prompt)
    assert normalise(found) == re.sub(r"\b(SLOT|URL)\b", lambda marker: marker[0].lower(), found)


@given(prompt=st.text(st.characters(max_codepoint=0x7F), max_size=80))
@example("a00b 0 00 1_2{x}")
def test_a_text_of_ascii_has_the_same_words_beside_one_that_is_not(prompt: str) -> None:
    # ASCII text takes a faster path.
    assert normalise(f"{prompt} é").removesuffix("é").strip() == normalise(f"{prompt} ")


@given(prompt=TEXT)
def test_sentences_have_the_words_of_the_text_where_no_mark_is_cut(prompt: str) -> None:
    plain = re.sub(r"[^\w\s.!?]|w", " ", prompt)
    assert words(" ".join(sentences(plain))) == words(normalise(plain))


def test_sentences_end_at_lines_and_marks_before_space() -> None:
    assert sentences("Version 2.5 is out. Is it?\nYes\u3002好!") == [
        "version 0 0 is out",
        "is it",
        "yes",
        "好",
    ]


def test_of_a_long_prompt_both_ends_are_read() -> None:
    filler = "- " * MAX_CHARACTERS
    assert normalise(f"start here {filler} ends here") == "start here ends here"
    assert sentences(f"start here {filler} ends here") == ["start here", "ends here"]


def test_of_many_words_both_ends_are_used() -> None:
    found = words(" ".join(["x"] * MAX_WORDS + ["y"] * MAX_WORDS))
    assert found == ["x"] * (MAX_WORDS // 2) + ["y"] * (MAX_WORDS // 2)


def test_a_long_word_is_cut() -> None:
    assert words("a" * (MAX_LETTERS + 1)) == ["a" * MAX_LETTERS]


@pytest.mark.parametrize(
    "hostile", ["{", "<a", "[a ", "%(a", "$a", "www.", "http://", "\u0301", "ﷺ", "请", "a.\n"]
)
def test_no_prompt_takes_long(hostile: str) -> None:
    # With quadratic work this would take minutes.
    assert len(words(normalise(hostile * 5_000_000))) <= MAX_WORDS
