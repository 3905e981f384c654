"""Digests bind a half to its header, direction, order and bytes, and both labs sign one close."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.errors import Code, EncodingError, RoundError
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.session.transcript import (
    CloseStatement,
    Outcome,
    answer_digest,
    half_digest,
    request_digest,
)
from tests.protocol.strategies import CLOSES, HEADERS, exactly, uints

REQUESTS = st.tuples(exactly(32), uints(4), st.binary(max_size=4))
ANSWERS = st.tuples(exactly(32), st.binary(max_size=4), st.binary(max_size=4))
STATEMENT = CloseStatement(bytes(32), b"\x01" * 32, b"\x02" * 32, Outcome.COMMITTED)


@given(REQUESTS, REQUESTS)
def test_a_request_digest_tells_header_index_and_elements_apart(one: Any, other: Any) -> None:
    assert (request_digest(*one) == request_digest(*other)) == (one == other)


@given(ANSWERS, ANSWERS)
def test_an_answer_digest_tells_request_elements_and_proof_apart(one: Any, other: Any) -> None:
    assert (answer_digest(*one) == answer_digest(*other)) == (one == other)


def test_elements_do_not_move_into_the_proof() -> None:
    assert answer_digest(bytes(32), b"ab", b"c") != answer_digest(bytes(32), b"a", b"bc")


def test_a_request_is_no_answer() -> None:
    assert request_digest(bytes(32), 0, b"") != answer_digest(bytes(32), b"", b"")


@given(HEADERS, HEADERS, st.lists(exactly(32), min_size=2, max_size=3, unique=True))
def test_a_half_digest_binds_header_direction_order_and_number(
    header: RoundHeader, other: RoundHeader, answers: list[bytes]
) -> None:
    lab = header.initiator.lab
    digests = [
        half_digest(header, lab, answers),
        half_digest(header, lab, answers[::-1]),
        half_digest(header, lab, answers[:-1]),
        half_digest(header, lab, [*answers, answers[0]]),
        half_digest(header, lab, []),
    ]
    if header.responder.lab != lab:
        digests.append(half_digest(header, header.responder.lab, answers))
    if other != header:
        digests.append(half_digest(other, lab, answers))
    assert len(set(digests)) == len(digests)


@given(CLOSES)
def test_a_statement_agrees_with_itself_only(statement: CloseStatement) -> None:
    statement.require_same(CloseStatement.decode(statement.encode()))
    if statement != STATEMENT:
        with pytest.raises(RoundError) as caught:
            statement.require_same(STATEMENT)
        assert caught.value.code is Code.TRANSCRIPT_MISMATCH


@pytest.mark.parametrize("field", [field.name for field in fields(CloseStatement)])
def test_a_statement_that_differs_in_any_field_is_another(field: str) -> None:
    changed: dict[str, Any] = {"outcome": Outcome.ABORTED, "code": "BAD_PROOF"}
    other = replace(STATEMENT, **{field: changed.get(field, b"\x03" * 32)})
    with pytest.raises(RoundError):
        other.require_same(STATEMENT)
    assert other.encode() != STATEMENT.encode()


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.ABORTED, ""),
        (Outcome.ABORTED, "NOT_A_CODE"),
        (Outcome.ABORTED, "bad_proof"),
        (Outcome.COMMITTED, "BAD_PROOF"),
        (Outcome.COMMITTED, "anything that a lab would like the other to sign"),
    ],
)
def test_an_abort_names_a_code_and_a_commit_none(outcome: Outcome, code: str) -> None:
    with pytest.raises(EncodingError) as caught:
        CloseStatement.decode(replace(STATEMENT, outcome=outcome, code=code).encode())
    assert caught.value.code is Code.BAD_ENCODING


def test_a_statement_with_a_tail_is_refused() -> None:
    with pytest.raises(EncodingError):
        CloseStatement.decode(STATEMENT.encode() + b"\0")


def test_outcomes_have_their_numbers_on_the_wire() -> None:
    assert [(outcome.name, outcome.value) for outcome in Outcome] == [("COMMITTED", 1), ("ABORTED", 2)]


@pytest.mark.parametrize("outcome", [0, 3, 255])
def test_an_unknown_outcome_is_refused(outcome: int) -> None:
    encoded = STATEMENT.encode()
    at = len(encoded) - 5  # the outcome is before the length of the empty code
    with pytest.raises(EncodingError):
        CloseStatement.decode(encoded[:at] + bytes([outcome]) + encoded[at + 1 :])
