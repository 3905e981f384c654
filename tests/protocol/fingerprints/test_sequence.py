"""Values of request sequences (SPEC A.9)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.fingerprints import sequence
from mandorla_protocol.fingerprints.sequence import sequence_values
from mandorla_protocol.fingerprints.steps import (
    GAP_LIMITS,
    SIZE_LIMITS,
    Endpoint,
    ModelClass,
    Step,
    Tool,
    gap_class,
    text_size_class,
)
from mandorla_protocol.indicators import Indicator

STEPS = st.builds(
    Step,
    st.sampled_from(Endpoint),
    st.sampled_from(ModelClass),
    st.integers(0, 127).map(Tool),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.none() | st.integers(0, 2**40),
)
TRACES = st.lists(STEPS, max_size=60).map(lambda steps: b"".join(step.encode() for step in steps))
# Few different steps, so that n-grams repeat.
LOOPS = st.lists(st.integers(0, 3), max_size=80).map(lambda kinds: b"".join(bytes([k] * 6) for k in kinds))


def value(gram: bytes) -> str:
    """Return the value of an n-gram, by the text of SPEC."""
    domain = b"mandorla/v1 request sequence"
    return hashlib.blake2b(len(domain).to_bytes(4, "big") + domain + gram, digest_size=16).hexdigest()


def by_the_text(trace: bytes) -> tuple[str, ...]:
    """Return the values of a trace, by steps 1 to 4 of SPEC A.9, without optimisation."""
    steps = [trace[at : at + 6] for at in range(0, len(trace), 6)]
    grams = [steps[at : at + 5] for at in range(len(steps) - 4)]
    values = [value(b"".join(gram)) for gram in grams if len(set(gram)) >= 3]
    windows = [values[at : at + 4] for at in range(len(values) - 3)] or ([values] if values else [])
    return tuple(sorted({min(window) for window in windows})[:64])


def test_a_step_is_six_bytes_of_classes() -> None:
    step = Step(Endpoint.CHAT, ModelClass.REASONING, Tool.SEARCH | Tool.FUNCTION, 1024, 63, 16)
    assert step.encode() == bytes([1, 4, 33, 4, 1, 4])
    assert Step().encode() == bytes(6)


def test_classes_begin_at_their_limits() -> None:
    assert [text_size_class(limit) for limit in SIZE_LIMITS] == list(range(1, 9))
    assert [text_size_class(limit - 1) for limit in SIZE_LIMITS] == list(range(8))
    assert [gap_class(limit) for limit in GAP_LIMITS] == list(range(2, 11))
    assert [gap_class(limit - 1) for limit in GAP_LIMITS] == list(range(1, 10))


@pytest.mark.spec("A.9-1")
@given(trace=TRACES | LOOPS)
def test_values_are_those_of_the_text(trace: bytes) -> None:
    values = sequence_values(trace)
    assert values == by_the_text(trace)
    assert all(Indicator.parse("request-sequence", one).value == one for one in values)


@given(before=TRACES, shared=st.lists(STEPS, min_size=8, max_size=8, unique_by=Step.encode), after=TRACES)
def test_what_shares_enough_steps_shares_a_value(before: bytes, shared: list[Step], after: bytes) -> None:
    middle = b"".join(step.encode() for step in shared)
    assert set(sequence_values(middle)) & set(sequence_values((before + middle + after)[:6000])) or (
        len(sequence_values(before + middle + after)) == sequence.MAX_VALUES
    )


@pytest.mark.parametrize("kinds", [1, 2])
def test_a_loop_of_one_or_two_steps_is_nobodys(kinds: int) -> None:
    assert sequence_values(b"".join(bytes([at % kinds] * 6) for at in range(100))) == ()


def test_an_account_has_at_most_64_values_the_least() -> None:
    trace = b"".join(bytes([at % 251, at // 251, 0, 0, 0, 0]) for at in range(2000))
    values = sequence_values(trace)
    assert len(values) == 64
    assert set(values) >= set(sequence_values(trace[:6000])) & set(values)
    assert list(values) == sorted(values)
