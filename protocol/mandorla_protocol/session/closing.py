"""The close of a round at one lab (SPEC 9.7, 10.3): which end the lab signs, records and sends.

HeaderAgreed       -> the round is open: both labs signed its header
HalfCompleted      -> the lab may sign a commit from now on
StatementRequested -> bar new chunks, sign a commit and reply with it
StatementReceived  -> check the peer's statement, then record the end that follows from it
Failed, PeerLost   -> record an abort that this lab signs, or that the end is unconfirmed
EndRecorded        -> close the halves, send the signed statement, allow the comparison

A lab decides on one end, and signs nothing else from then on. It records the decision before anybody hears
of it, so that a crash between the two leaves the round unconfirmed and never with two ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TypeAlias

from ..errors import Code, RoundError
from .transcript import CloseStatement, Outcome


class RoundState(StrEnum):
    """The state of a round in a lab's records."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"
    UNCONFIRMED = "unconfirmed"


class Phase(Enum):
    """How far the close is.

    UNRECORDED means that the end is decided and that the last attempt to record it failed. WITHDRAWN means
    that the lab gave the round up before both signatures on the header were recorded.
    """

    PROPOSED = "PROPOSED"
    WITHDRAWN = "WITHDRAWN"
    OPEN = "OPEN"
    RECORDING = "RECORDING"
    UNRECORDED = "UNRECORDED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class End:
    """The end that a lab decided on.

    `code` is the reason of an end that is no commit. `statement` is what a lab signed about the end, if any
    did: this lab if `own`, the peer with `peer_signature`, both for a commit.
    """

    state: RoundState
    code: Code | None = None
    statement: CloseStatement | None = None
    own: bool = False
    peer_signature: bytes = b""


@dataclass(frozen=True, slots=True)
class ClosingState:
    """What a lab remembers of the close.

    `half` is the transcript digest of the lab's own half once that is complete (SPEC 9.6), `stated` the
    commit that it signed, `end` the end that it decided on.
    """

    header_digest: bytes
    initiator: bool
    phase: Phase = Phase.PROPOSED
    half: bytes | None = None
    stated: CloseStatement | None = None
    end: End | None = None

    @property
    def refusal(self) -> Code:
        """The code with which the lab refuses a call in a round that has ended (SPEC 9.5).

        It is the reason of the lab's own abort, so that a peer that has not heard of the abort learns it.
        """
        end = self.end
        own_abort = end is not None and end.own and end.state is RoundState.ABORTED
        return end.code if end is not None and own_abort and end.code is not None else Code.UNKNOWN_ROUND


@dataclass(frozen=True, slots=True)
class HeaderAgreed:
    """Both labs' signatures on the header are recorded."""


@dataclass(frozen=True, slots=True)
class HalfCompleted:
    """This lab's half as the querier is complete; `digest` is its transcript digest (SPEC 9.6)."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class StatementRequested:
    """The initiator asks for this lab's statement.

    `peer_half` is the transcript digest of the half in which the peer is the querier, None while a chunk of
    it is missing or unanswered.
    """

    peer_half: bytes | None


@dataclass(frozen=True, slots=True)
class StatementReceived:
    """The peer sent a statement with its signature, which has been verified; `peer_half` as above."""

    statement: CloseStatement
    signature: bytes
    peer_half: bytes | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The round cannot go on at this lab: its half failed, the node stops.

    Or the operator cancels the round.
    """

    code: Code


@dataclass(frozen=True, slots=True)
class PeerLost:
    """The peer does not answer, does not close in time, or proposed another round instead."""

    code: Code


@dataclass(frozen=True, slots=True)
class EndRecorded:
    """The end is on disk."""


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """The store did not take the end; the decision stands."""


Event: TypeAlias = (
    HeaderAgreed
    | HalfCompleted
    | StatementRequested
    | StatementReceived
    | Failed
    | PeerLost
    | EndRecorded
    | RecordFailed
)


@dataclass(frozen=True, slots=True)
class BarChunks:
    """Answer no chunk that is not answered yet: raise `StatementIssued` in the holder's half."""


@dataclass(frozen=True, slots=True)
class ReplyStatement:
    """Sign the statement and reply with it."""

    statement: CloseStatement


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """Sign the end's statement if it is this lab's own, and record the end durably, once.

    Continue with `EndRecorded` or `RecordFailed`.
    """

    end: End


@dataclass(frozen=True, slots=True)
class CloseHalves:
    """Stop both halves: raise `Closed` in the holder's half, and cancel the querier's."""


@dataclass(frozen=True, slots=True)
class SendStatement:
    """Call Close with the statement and this lab's signature; a failure of the call changes nothing."""

    statement: CloseStatement


@dataclass(frozen=True, slots=True)
class AllowComparison:
    """Compare tags with the table once the lab has sent its last message of the round (SPEC 9.7)."""


Effect: TypeAlias = BarChunks | ReplyStatement | RecordEnd | CloseHalves | SendStatement | AllowComparison


def step(state: ClosingState, event: Event) -> tuple[ClosingState, tuple[Effect, ...]]:
    """Advance the close by one event.

    Raises RoundError if the event is refused; the state then stays as it was.
    """
    match event:
        case HeaderAgreed():
            return _header_agreed(state)
        case HalfCompleted(digest):
            return replace(state, half=digest), ()
        case StatementRequested(peer_half):
            return _statement_requested(state, peer_half)
        case StatementReceived():
            return _statement_received(state, event)
        case Failed(code):
            return _failed(state, code)
        case PeerLost(code):
            if state.phase is Phase.OPEN and state.half is not None:
                return _decide(state, End(RoundState.UNCONFIRMED, code))
            return _failed(state, code)
        case EndRecorded():
            return _recorded(state)
        case RecordFailed():
            _require(state, Phase.RECORDING)
            return replace(state, phase=Phase.UNRECORDED), ()


def _header_agreed(state: ClosingState) -> tuple[ClosingState, tuple[Effect, ...]]:
    if state.phase is Phase.WITHDRAWN and state.end is not None:
        # The agreement was being recorded when the lab gave the round up: the end is recorded behind it.
        return _decide(state, state.end)
    _require(state, Phase.PROPOSED)
    return replace(state, phase=Phase.OPEN), ()


def _statement_requested(
    state: ClosingState, peer_half: bytes | None
) -> tuple[ClosingState, tuple[Effect, ...]]:
    if state.initiator:
        raise RoundError(Code.WRONG_STATE, "only the initiator asks for a statement")
    if state.stated is not None and state.phase is not Phase.ENDED:
        return state, (ReplyStatement(state.stated),)
    statement = _commit(state, peer_half)
    return replace(state, stated=statement), (BarChunks(), ReplyStatement(statement))


def _statement_received(
    state: ClosingState, event: StatementReceived
) -> tuple[ClosingState, tuple[Effect, ...]]:
    statement = event.statement
    if statement.header_digest != state.header_digest:
        raise RoundError(Code.TRANSCRIPT_MISMATCH, "the statement is about another round")
    if statement.outcome is Outcome.ABORTED:
        if state.phase is not Phase.OPEN:
            return _record_again(state)
        # The peer may hold this lab's signature on a commit: then no abort can undo the commit.
        reached = RoundState.ABORTED if state.stated is None else RoundState.UNCONFIRMED
        end = End(reached, Code[statement.code], statement, peer_signature=event.signature)
        return _decide(state, end)
    if state.end is not None and state.end.state is RoundState.COMMITTED:
        statement.require_same(_require_statement(state.end))
        # The call is repeated: nothing new is decided.
        return _record_again(state)
    own = _commit(state, event.peer_half)
    statement.require_same(own)
    end = End(RoundState.COMMITTED, None, own, own=True, peer_signature=event.signature)
    reached_state, effects = _decide(replace(state, stated=own), end)
    return reached_state, (BarChunks(), *effects)


def _commit(state: ClosingState, peer_half: bytes | None) -> CloseStatement:
    """Return the commit that this lab may sign now.

    Raises RoundError: NOT_READY before the lab's half is complete, TRANSCRIPT_MISMATCH if a chunk of the
    peer's half is missing or unanswered, ROUND_ABORTED once an abort is decided, and the refusal after any
    end.
    """
    if state.phase in (Phase.RECORDING, Phase.UNRECORDED, Phase.WITHDRAWN, Phase.ENDED):
        aborted = state.end is not None and state.end.state is RoundState.ABORTED
        raise RoundError(Code.ROUND_ABORTED if aborted else Code.UNKNOWN_ROUND)
    if state.half is None:
        raise RoundError(Code.NOT_READY, "this lab's half is not complete")
    if peer_half is None:
        raise RoundError(Code.TRANSCRIPT_MISMATCH, "the half has a gap or an unanswered chunk")
    halves = (state.half, peer_half) if state.initiator else (peer_half, state.half)
    return CloseStatement(state.header_digest, *halves, Outcome.COMMITTED)


def _failed(state: ClosingState, code: Code) -> tuple[ClosingState, tuple[Effect, ...]]:
    match state.phase:
        case Phase.PROPOSED:
            end = End(RoundState.ABORTED, code)
            return replace(state, phase=Phase.WITHDRAWN, end=end), (CloseHalves(),)
        case Phase.OPEN if state.stated is not None:
            return _decide(state, End(RoundState.UNCONFIRMED, code))
        case Phase.OPEN:
            abort = CloseStatement.abort(state.header_digest, code)
            return _decide(state, End(RoundState.ABORTED, code, abort, own=True))
    return _record_again(state)


def _record_again(state: ClosingState) -> tuple[ClosingState, tuple[Effect, ...]]:
    """Record the end that is decided, if the last attempt failed."""
    if state.phase is Phase.UNRECORDED and state.end is not None:
        return _decide(state, state.end)
    return state, ()


def _decide(state: ClosingState, end: End) -> tuple[ClosingState, tuple[Effect, ...]]:
    return replace(state, phase=Phase.RECORDING, end=end), (RecordEnd(end),)


def _recorded(state: ClosingState) -> tuple[ClosingState, tuple[Effect, ...]]:
    _require(state, Phase.RECORDING)
    end = state.end
    effects: list[Effect] = [CloseHalves()]
    # A responder's commit needs no call of its own: the initiator holds it already.
    tells = end is not None and end.own and (state.initiator or end.state is RoundState.ABORTED)
    if tells and end is not None and end.statement is not None:
        effects.append(SendStatement(end.statement))
    if end is not None and end.state is not RoundState.ABORTED:
        effects.append(AllowComparison())
    return replace(state, phase=Phase.ENDED), tuple(effects)


def _require(state: ClosingState, phase: Phase) -> None:
    if state.phase is not phase:
        raise RoundError(Code.WRONG_STATE, f"the close is not {phase.value.lower()}")


def _require_statement(end: End) -> CloseStatement:
    if end.statement is None:
        raise RoundError(Code.WRONG_STATE, "the end has no statement")
    return end.statement
