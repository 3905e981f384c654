"""The close of a round at one lab (SPEC 9.7, 10.3): which end the lab signs, records and sends.

HeaderAgreed       -> the round is open: both labs signed its header
HalfCompleted      -> the lab may sign a commit from now on
StatementRequested -> bar new chunks, sign a commit and reply with it
StatementReceived  -> check the peer's statement, then record the end that follows from it
Failed, PeerLost   -> record an abort that this lab signs, or that the end is unconfirmed
EndRecorded        -> close the halves, send the signed statement, allow the comparison

A lab decides on one end, and signs nothing else from then on. It calls the peer with a statement only after
it has recorded the end. The responder's reply is an exception: it leaves before any record. If the responder
then crashes, the next start marks the round unconfirmed and never resumes it, so that the lab signs no
second end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Final, TypeAlias

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

    PROPOSED: the lab has not recorded the agreement. WITHDRAWN: the lab gave the round up before it recorded
    the agreement. RUNNING: the lab's half as the querier runs. COMPLETE: that half is complete. STATED: the
    lab signed a commit. RECORDING: an end is decided, and being recorded. UNRECORDED: the store did not take
    the decided end. ENDED: the end is recorded.
    """

    PROPOSED = "PROPOSED"
    WITHDRAWN = "WITHDRAWN"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    STATED = "STATED"
    RECORDING = "RECORDING"
    UNRECORDED = "UNRECORDED"
    ENDED = "ENDED"


_OPEN: Final = (Phase.RUNNING, Phase.COMPLETE, Phase.STATED)
_DECIDED: Final = (Phase.RECORDING, Phase.UNRECORDED, Phase.ENDED)


@dataclass(frozen=True, slots=True)
class End:
    """The end that a lab decided on.

    `code` is the reason of an end that is no commit. `statement` is the signed close statement, None if
    there is none. `own` means that this lab signs it; `peer_signature` is set if the peer signed it. A
    commit has both.
    """

    state: RoundState
    code: Code | None = None
    statement: CloseStatement | None = None
    own: bool = False
    peer_signature: bytes = b""


@dataclass(frozen=True, slots=True)
class ClosingState:
    """What a lab remembers of the close.

    `half` is the transcript digest of the lab's own half from COMPLETE on (SPEC 9.6), `end` the end that the
    lab decided on.
    """

    header_digest: bytes
    initiator: bool
    phase: Phase = Phase.PROPOSED
    half: bytes = b""
    end: End | None = None

    @property
    def open(self) -> bool:
        """Whether the header is agreed, and no end is decided."""
        return self.phase in _OPEN

    @property
    def refusal(self) -> Code:
        """The code with which the lab refuses a call once it has decided on the end (SPEC 9.5).

        It is the reason of the lab's own abort, so that a peer that has not received the abort records the
        same.
        """
        end = self.end
        if end and end.own and end.state is RoundState.ABORTED and end.code:
            return end.code
        return Code.UNKNOWN_ROUND

    @property
    def unrecorded(self) -> bool:
        """Whether the agreement is recorded, and no end is."""
        return self.phase in (*_OPEN, Phase.RECORDING, Phase.UNRECORDED)


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
    """The peer sent a statement, and its signature was verified; `peer_half` is as in StatementRequested."""

    statement: CloseStatement
    signature: bytes
    peer_half: bytes | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The round cannot go on at this lab: its half failed, its node stops, or its operator cancels it."""

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
            _require(state, Phase.RUNNING, *_DECIDED)
            phase = Phase.COMPLETE if state.phase is Phase.RUNNING else state.phase
            return replace(state, phase=phase, half=digest), ()
        case StatementRequested(peer_half):
            if state.initiator:
                raise RoundError(Code.WRONG_STATE, "only the initiator asks for a statement")
            commit = _commit(state, peer_half)
            return replace(state, phase=Phase.STATED), (BarChunks(), ReplyStatement(commit))
        case StatementReceived():
            return _statement_received(state, event)
        case Failed(code):
            return _failed(state, code)
        case PeerLost(code):
            if state.phase in (Phase.COMPLETE, Phase.STATED):
                return _decide(state, End(RoundState.UNCONFIRMED, code))
            return _failed(state, code)
        case EndRecorded():
            return _recorded(state)
        case RecordFailed():
            _require(state, Phase.RECORDING)
            return replace(state, phase=Phase.UNRECORDED), ()


def _header_agreed(state: ClosingState) -> tuple[ClosingState, tuple[Effect, ...]]:
    _require(state, Phase.PROPOSED, Phase.WITHDRAWN)
    if state.end is not None:
        # The agreement was being recorded when the lab gave the round up: the end is recorded behind it.
        return _decide(state, state.end)
    return replace(state, phase=Phase.RUNNING), ()


def _statement_received(
    state: ClosingState, event: StatementReceived
) -> tuple[ClosingState, tuple[Effect, ...]]:
    _require(state, *_OPEN, *_DECIDED)
    statement = event.statement
    if statement.header_digest != state.header_digest:
        raise RoundError(Code.TRANSCRIPT_MISMATCH, "the statement is about another round")
    if statement.outcome is Outcome.ABORTED:
        if not state.open:
            return _record_again(state)
        # The peer may hold this lab's signature on a commit: then no abort can undo the commit.
        reached = RoundState.UNCONFIRMED if state.phase is Phase.STATED else RoundState.ABORTED
        end = End(reached, Code[statement.code], statement, peer_signature=event.signature)
        return _decide(state, end)
    if state.end is not None and state.end.state is RoundState.COMMITTED:
        # The call is repeated: nothing new is decided.
        if statement != state.end.statement:
            raise RoundError(Code.TRANSCRIPT_MISMATCH)
        return _record_again(state)
    commit = _commit(state, event.peer_half)
    statement.require_same(commit)
    end = End(RoundState.COMMITTED, None, commit, own=True, peer_signature=event.signature)
    reached_state, effects = _decide(state, end)
    return reached_state, (BarChunks(), *effects)


def _commit(state: ClosingState, peer_half: bytes | None) -> CloseStatement:
    """Return the commit that this lab may sign now.

    Raises RoundError: NOT_READY while the lab's half runs, TRANSCRIPT_MISMATCH if a chunk of the peer's half
    is missing or unanswered, and the refusal once an end is decided; for an abort by the peer, ROUND_ABORTED.
    """
    _require(state, *_OPEN, *_DECIDED)
    if not state.open:
        by_peer = state.end is not None and state.end.state is RoundState.ABORTED and not state.end.own
        raise RoundError(Code.ROUND_ABORTED if by_peer else state.refusal)
    if state.phase is Phase.RUNNING:
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
        case Phase.RUNNING | Phase.COMPLETE:
            abort = CloseStatement.abort(state.header_digest, code)
            return _decide(state, End(RoundState.ABORTED, code, abort, own=True))
        case Phase.STATED:
            return _decide(state, End(RoundState.UNCONFIRMED, code))
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
    effects: list[Effect] = [CloseHalves()]
    end = state.end
    # A responder's commit needs no call of its own: the initiator holds it already.
    if end and end.own and end.statement and (state.initiator or end.state is RoundState.ABORTED):
        effects.append(SendStatement(end.statement))
    if end and end.state is not RoundState.ABORTED:
        effects.append(AllowComparison())
    return replace(state, phase=Phase.ENDED), tuple(effects)


def _require(state: ClosingState, *phases: Phase) -> None:
    if state.phase not in phases:
        raise RoundError(Code.WRONG_STATE, f"the close is {state.phase.value.lower()}")
