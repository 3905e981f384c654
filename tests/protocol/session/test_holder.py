"""A holder answers only within the header's terms, and charges each chunk once, before the answer."""

from dataclasses import replace

import pytest

from mandorla_protocol.errors import Code, MandorlaError, RoundError
from mandorla_protocol.header import CLOCK_SKEW, RoundHeader
from mandorla_protocol.session.holder import (
    AnswerStored,
    Charge,
    CheckElements,
    ChunkFailed,
    Closed,
    Effect,
    Evaluate,
    EvaluationDone,
    EvaluationRequested,
    Event,
    HolderState,
    PageRequested,
    SendAnswer,
    SendPage,
    StatementIssued,
    StoreAnswer,
    step,
)
from mandorla_protocol.session.transcript import answer_digest, half_digest, request_digest
from mandorla_protocol.sizes import CHUNK_SIZE, PAGE_SIZE
from mandorla_protocol.table import TableCommitment
from tests.protocol.test_header import HEADER, NOW

HOLDER = HEADER.responder.lab
EVALUATED, PROOF = b"e" * 96, b"p" * 64


def header(cap: int = 1_000, size: int = 20_000) -> RoundHeader:
    offer = replace(HEADER.responder.offer, cap=cap, table=TableCommitment(1, size, bytes(32)))
    return replace(HEADER, responder=replace(HEADER.responder, offer=offer))


def elements(count: int, fill: bytes = b"e") -> bytes:
    return fill * (32 * count)


def ask(index: int, count: int, fill: bytes = b"e", now: int = NOW) -> EvaluationRequested:
    return EvaluationRequested(index, elements(count, fill), now)


def opened(cap: int = 1_000) -> HolderState:
    return HolderState(header(cap), HOLDER)


def run(state: HolderState, *events: Event) -> tuple[HolderState, list[Effect]]:
    effects: list[Effect] = []
    for event in events:
        state, more = step(state, event)
        effects += more
    return state, effects


def answer(state: HolderState, request: EvaluationRequested) -> HolderState:
    evaluated = EvaluationDone(request.index, EVALUATED, PROOF)
    stored = AnswerStored(request.index, EVALUATED, PROOF)
    return run(state, request, evaluated, stored)[0]


def assert_refused(state: HolderState, event: Event, code: Code) -> None:
    before = replace(state)
    with pytest.raises(RoundError) as caught:
        step(state, event)
    assert caught.value.code is code
    assert state == before


def test_a_chunk_is_checked_then_charged_then_evaluated_then_stored_then_answered() -> None:
    request = request_digest(header().digest(), 0, elements(3))
    _, effects = run(
        opened(), ask(0, 3), EvaluationDone(0, EVALUATED, PROOF), AnswerStored(0, EVALUATED, PROOF)
    )
    assert effects == [
        CheckElements(0, elements(3)),
        Charge(0, request, 3),
        Evaluate(0, request, elements(3)),
        StoreAnswer(0, request, EVALUATED, PROOF),
        SendAnswer(0),
    ]


def test_the_same_chunk_again_gets_the_same_answer_and_is_not_charged_again() -> None:
    state = answer(opened(), ask(0, 3))
    again, effects = step(state, ask(0, 3))
    assert effects == (SendAnswer(0),)
    assert again == state


@pytest.mark.spec("9.5-1")
@pytest.mark.parametrize("other", [ask(0, 3, b"x"), ask(0, 2), ask(0, 4)])
def test_an_index_with_other_content_is_refused(other: EvaluationRequested) -> None:
    answered = answer(opened(), ask(0, 3))
    pending, _ = step(opened(), ask(0, 3))
    assert_refused(answered, other, Code.CHUNK_REUSED)
    assert_refused(pending, other, Code.CHUNK_REUSED)


def test_the_same_content_at_another_index_is_another_chunk() -> None:
    state = answer(opened(cap=3 * CHUNK_SIZE), ask(0, 3))
    _, effects = step(state, ask(1, 3))
    charges = [effect for effect in effects if isinstance(effect, Charge)]
    assert charges == [Charge(1, request_digest(state.header.digest(), 1, elements(3)), 3)]


def test_a_chunk_of_another_round_is_another_request() -> None:
    other = replace(header(), purpose="another")
    assert request_digest(other.digest(), 0, b"") != request_digest(header().digest(), 0, b"")


def test_a_chunk_that_is_being_evaluated_is_not_begun_twice() -> None:
    state, _ = step(opened(), ask(0, 3))
    assert_refused(state, ask(0, 3), Code.NOT_READY)


def test_a_failed_chunk_may_be_asked_again() -> None:
    failed, effects = run(opened(), ask(0, 3), ChunkFailed(0))
    assert failed == opened()
    assert step(failed, ask(0, 3))[1] == tuple(effects)


def test_a_chunk_whose_answer_could_not_be_stored_may_be_asked_again() -> None:
    state, _ = run(opened(), ask(0, 3), EvaluationDone(0, EVALUATED, PROOF), ChunkFailed(0))
    _, effects = step(state, ask(0, 3))
    assert [type(effect) for effect in effects] == [CheckElements, Charge, Evaluate]


def test_no_failure_takes_back_an_answer() -> None:
    state = answer(opened(), ask(0, 3))
    assert step(state, ChunkFailed(0)) == (state, ())
    assert step(state, ChunkFailed(7)) == (state, ())


@pytest.mark.spec("5.3-1")
@pytest.mark.parametrize(
    "blinded",
    [b"", bytes(31), bytes(33), elements(CHUNK_SIZE) + b"\x00", elements(CHUNK_SIZE + 1)],
    ids=["none", "short", "long", "trailing byte", "too many"],
)
def test_a_chunk_of_the_wrong_length_is_refused(blinded: bytes) -> None:
    assert_refused(opened(10 * CHUNK_SIZE), EvaluationRequested(0, blinded, NOW), Code.BAD_LENGTH)


@pytest.mark.parametrize(
    ("cap", "first_beyond"),
    [(1, 1), (CHUNK_SIZE, 1), (CHUNK_SIZE + 1, 2), (3 * CHUNK_SIZE, 3)],
)
def test_indices_end_where_the_cap_does(cap: int, first_beyond: int) -> None:
    assert step(opened(cap), ask(first_beyond - 1, 1))[1]
    for index in (-1, first_beyond, 2**32 - 1, 2**32):
        assert_refused(opened(cap), ask(index, 1), Code.CHUNK_OUT_OF_RANGE)


def test_the_cap_is_reached_and_not_passed() -> None:
    cap = CHUNK_SIZE + 100
    state = answer(opened(cap), ask(0, CHUNK_SIZE))
    assert_refused(state, ask(1, 101), Code.CAP_EXCEEDED)
    state = answer(state, ask(1, 100))
    assert state.elements == cap


def test_chunks_that_are_being_evaluated_count_against_the_cap() -> None:
    state, _ = step(opened(CHUNK_SIZE + 1), ask(0, CHUNK_SIZE))
    assert_refused(state, ask(1, 2), Code.CAP_EXCEEDED)
    assert step(state, ask(1, 1))[1]


def test_one_element_over_a_small_cap_is_refused() -> None:
    assert_refused(opened(5), ask(0, 6), Code.CAP_EXCEEDED)
    assert step(opened(5), ask(0, 5))[1]


@pytest.mark.spec("9.7-2")
def test_after_the_statement_only_what_was_answered_is_answered() -> None:
    stated, effects = step(answer(opened(3 * CHUNK_SIZE), ask(0, 3)), StatementIssued())
    assert effects == ()
    assert_refused(stated, ask(1, 3), Code.WRONG_STATE)
    assert step(stated, ask(0, 3)) == (stated, (SendAnswer(0),))


def test_a_half_with_an_open_chunk_is_not_stated() -> None:
    pending, _ = step(opened(), ask(0, 3))
    assert_refused(pending, StatementIssued(), Code.TRANSCRIPT_MISMATCH)


@pytest.mark.parametrize("event", [ask(0, 3), ask(1, 3), PageRequested(0, NOW), StatementIssued()])
def test_nothing_is_answered_after_the_close(event: Event) -> None:
    closed, effects = step(answer(opened(3 * CHUNK_SIZE), ask(0, 3)), Closed())
    assert effects == ()
    assert_refused(closed, event, Code.WRONG_STATE)


@pytest.mark.parametrize("event", [EvaluationDone(0, EVALUATED, PROOF), AnswerStored(0, EVALUATED, PROOF)])
def test_a_chunk_that_is_ready_after_the_close_does_not_leave(event: Event) -> None:
    closed, _ = run(opened(), ask(0, 3), Closed())
    assert_refused(closed, event, Code.WRONG_STATE)


@pytest.mark.parametrize("now", [NOW - CLOCK_SKEW - 1, HEADER.expires, 2**40])
def test_nothing_is_answered_outside_the_headers_validity(now: int) -> None:
    state = answer(opened(3 * CHUNK_SIZE), ask(0, 3))
    for event in (ask(0, 3, now=now), ask(1, 3, now=now), PageRequested(0, now)):
        assert_refused(state, event, Code.HEADER_EXPIRED)


@pytest.mark.parametrize("event", [EvaluationDone(0, EVALUATED, PROOF), AnswerStored(0, EVALUATED, PROOF)])
def test_an_answer_without_a_question_is_refused(event: Event) -> None:
    assert_refused(opened(), event, Code.WRONG_STATE)
    assert_refused(answer(opened(), ask(0, 3)), event, Code.WRONG_STATE)
    other, _ = step(opened(3 * CHUNK_SIZE), ask(1, 3))
    assert_refused(other, event, Code.WRONG_STATE)


@pytest.mark.parametrize(
    ("start", "limit"), [(0, PAGE_SIZE), (1, PAGE_SIZE), (20_000 - PAGE_SIZE, PAGE_SIZE), (19_999, 1)]
)
def test_pages_cover_the_committed_table(start: int, limit: int) -> None:
    state = opened()
    assert step(state, PageRequested(start, NOW)) == (state, (SendPage(start, limit),))


@pytest.mark.parametrize("start", [-1, 20_000, 20_001, 2**64])
def test_a_page_outside_the_committed_table_is_refused(start: int) -> None:
    assert_refused(opened(), PageRequested(start, NOW), Code.CHUNK_OUT_OF_RANGE)


def test_the_digest_covers_every_answer_in_the_order_of_indices() -> None:
    state = opened(3 * CHUNK_SIZE)
    for index in (2, 0, 1):
        state = answer(state, ask(index, index + 1))
    requests = [request_digest(state.header.digest(), i, elements(i + 1)) for i in range(3)]
    answers = [answer_digest(request, EVALUATED, PROOF) for request in requests]
    assert state.digest() == half_digest(state.header, HEADER.initiator.lab, answers)


def test_a_half_with_a_gap_or_an_open_chunk_has_no_digest() -> None:
    gap = answer(opened(3 * CHUNK_SIZE), ask(1, 3))
    pending, _ = step(opened(), ask(0, 3))
    for state in (gap, pending):
        with pytest.raises(RoundError) as caught:
            state.digest()
        assert caught.value.code is Code.TRANSCRIPT_MISMATCH


def test_a_stranger_cannot_hold() -> None:
    with pytest.raises(MandorlaError) as caught:
        step(HolderState(header(), HEADER.round_id * 2), ask(0, 1))  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_HEADER
