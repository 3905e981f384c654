"""A lab decides on one end of a round, signs nothing else, and records it before it sends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.session import closing
from mandorla_protocol.session.closing import ClosingState, End, Phase, RoundState
from mandorla_protocol.session.transcript import CloseStatement, Outcome

HEADER, OWN, PEERS = (bytes([n]) * 32 for n in range(3))


def commit(initiator: bool) -> CloseStatement:
    halves = (OWN, PEERS) if initiator else (PEERS, OWN)
    return CloseStatement(HEADER, *halves, Outcome.COMMITTED)


def run(state: ClosingState, *events: closing.Event) -> tuple[ClosingState, list[closing.Effect]]:
    """Feed events to the machine; what it refuses changes nothing."""
    effects: list[closing.Effect] = []
    for event in events:
        try:
            state, more = closing.step(state, event)
        except RoundError:
            continue
        effects += more
    return state, effects


def events() -> st.SearchStrategy[closing.Event]:
    statements = [commit(True), commit(False), CloseStatement.abort(HEADER, Code.BAD_PROOF)]
    return st.one_of(
        st.builds(closing.HeaderAgreed),
        st.builds(closing.HalfCompleted, st.just(OWN)),
        st.builds(closing.StatementRequested, st.sampled_from([PEERS, None])),
        st.builds(closing.StatementReceived, st.sampled_from(statements), st.just(b"s"), st.just(PEERS)),
        st.builds(closing.Failed, st.sampled_from([Code.BAD_PROOF, Code.ROUND_ABORTED])),
        st.builds(closing.PeerLost, st.just(Code.DEADLINE)),
        st.builds(closing.EndRecorded),
        st.builds(closing.RecordFailed),
    )


@pytest.mark.spec("9.7-3", "9.7-4")
@given(st.booleans(), st.lists(events(), max_size=14))
def test_a_lab_signs_one_end(initiator: bool, given_events: list[closing.Event]) -> None:
    _, effects = run(ClosingState(HEADER, initiator), *given_events)
    ends = [effect.end for effect in effects if isinstance(effect, closing.RecordEnd)]
    assert len(set(ends)) <= 1, "a decided end is recorded again, and never changed"
    signed = {end.statement for end in ends if end.own}
    signed |= {effect.statement for effect in effects if isinstance(effect, closing.ReplyStatement)}
    assert len(signed) <= 1
    replied = any(isinstance(effect, closing.ReplyStatement) for effect in effects)
    if replied and ends:
        assert ends[0].state is not RoundState.ABORTED


@given(st.booleans(), st.lists(events(), max_size=14))
def test_nothing_is_sent_or_compared_before_the_end_is_recorded(
    initiator: bool, given_events: list[closing.Event]
) -> None:
    state = ClosingState(HEADER, initiator)
    for event in given_events:
        state, effects = run(state, event)
        if any(isinstance(one, closing.SendStatement | closing.AllowComparison) for one in effects):
            assert isinstance(event, closing.EndRecorded)
            assert state.phase is Phase.ENDED


def test_a_round_that_is_given_up_while_it_is_agreed_ends_behind_the_agreement() -> None:
    withdrawn, effects = run(ClosingState(HEADER, True), closing.Failed(Code.ROUND_ABORTED))
    assert effects == [closing.CloseHalves()]
    _, effects = run(withdrawn, closing.HeaderAgreed())
    assert effects == [closing.RecordEnd(End(RoundState.ABORTED, Code.ROUND_ABORTED))]


def test_a_peer_is_told_the_reason_of_this_labs_abort_and_of_nothing_else() -> None:
    ended = (closing.HeaderAgreed(), closing.Failed(Code.BAD_PROOF), closing.EndRecorded())
    assert run(ClosingState(HEADER, True), *ended)[0].refusal is Code.BAD_PROOF
    abort = closing.StatementReceived(CloseStatement.abort(HEADER, Code.BAD_PROOF), b"s", PEERS)
    ended_by_peer = (closing.HeaderAgreed(), abort, closing.EndRecorded())
    assert run(ClosingState(HEADER, True), *ended_by_peer)[0].refusal is Code.UNKNOWN_ROUND
