"""The holder's half of a round (SPEC 10.2): answer chunks within the header's terms, and send the table.

EvaluationRequested -> check the elements, charge the budget durably, evaluate
EvaluationDone      -> store the answer durably, then send it
PageRequested       -> send a page of the committed table
TableExtended       -> in a standing round: send pages up to the new table's end
StatementIssued     -> answer no new chunk
Closed              -> answer nothing

A chunk is *pending* from its request until its answer is stored. These rules apply to pending chunks:

- A pending chunk counts against the cap, so that concurrent requests cannot pass the cap together.
- A repeated request gets NOT_READY, so that no chunk is charged or evaluated twice at once.
- If an effect fails, `ChunkFailed` removes the pending chunk, and the querier may send the request again. The
  charge stays in the store: after a charge, the store refuses any other bytes at this index (CHUNK_REUSED).
- The half has no digest, so this lab can state nothing about the half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from ..epochs import LabId
from ..errors import Code, RoundError
from ..header import RoundHeader, RoundMode
from ..sizes import CHUNK_SIZE, PAGE_SIZE, STANDING_SMALLEST
from ..table import TableCommitment
from .transcript import answer_digest, half_digest, request_digest

_ELEMENT_SIZE = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: the digest of its request, its number of elements, and the digest of its answer.

    A pending chunk has no answer.
    """

    request: bytes
    count: int
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class HolderState:
    """The state of a holder's half.

    `announced_table` is the table that a standing round announced last. `stated` means that this lab issued a
    statement about the half (`StatementIssued`).
    """

    header: RoundHeader
    holder: LabId
    chunks: Mapping[int, Chunk] = field(default_factory=lambda: MappingProxyType({}))
    announced_table: TableCommitment | None = None
    stated: bool = False
    closed: bool = False

    @property
    def querier(self) -> LabId:
        """The lab whose blinded elements this lab evaluates."""
        return self.header.other(self.holder).lab

    @property
    def table(self) -> TableCommitment:
        """The table that the querier may read: the table announced last, or the header's."""
        return self.announced_table or self.header.party(self.holder).offer.table

    @property
    def elements(self) -> int:
        """The number of elements in all chunks, pending chunks and padding included."""
        return sum(chunk.count for chunk in self.chunks.values())

    def digest(self) -> bytes:
        """Return the half's digest, 32 bytes (SPEC 9.6).

        Raises RoundError: TRANSCRIPT_MISMATCH if a chunk is pending or an index is missing.
        """
        answers = []
        for index in range(len(self.chunks)):
            chunk = self.chunks.get(index)
            if chunk is None or chunk.answer is None:
                raise RoundError(
                    Code.TRANSCRIPT_MISMATCH, "the half has a pending chunk, or an index is missing"
                )
            answers.append(chunk.answer)
        return half_digest(self.header, self.querier, answers)


@dataclass(frozen=True, slots=True)
class EvaluationRequested:
    """The querier requested the evaluation of chunk `index`: blinded elements of 32 bytes each.

    `now` is Unix seconds.
    """

    index: int
    blinded: bytes
    now: int


@dataclass(frozen=True, slots=True)
class EvaluationDone:
    """Chunk `index` was charged and evaluated."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class AnswerStored:
    """The answer to chunk `index` was stored durably, so it may be sent."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class ChunkFailed:
    """An effect of chunk `index` failed before its answer was stored."""

    index: int


@dataclass(frozen=True, slots=True)
class PageRequested:
    """The querier requested table entries from leaf index `start` on. `now` is Unix seconds."""

    start: int
    now: int


@dataclass(frozen=True, slots=True)
class TableExtended:
    """The holder published a newer table version, and announces it to the querier."""

    table: TableCommitment


@dataclass(frozen=True, slots=True)
class StatementIssued:
    """This lab issued a statement with the half's digest: the half is final.

    The statement covers the answered chunks, and the peer may sign it too. An answer to a further chunk would
    be an evaluation that no signature covers. So from now on a request gets an answer only if it had one
    before (SPEC 9.7). Repeating an answer reveals nothing new. The event is refused while a chunk is pending,
    because its answer may be on its way.
    """


@dataclass(frozen=True, slots=True)
class Closed:
    """The round was closed or aborted."""


Event: TypeAlias = (
    EvaluationRequested
    | EvaluationDone
    | AnswerStored
    | ChunkFailed
    | PageRequested
    | TableExtended
    | StatementIssued
    | Closed
)


@dataclass(frozen=True, slots=True)
class CheckElements:
    """Decode all elements strictly; fail with BAD_ELEMENT if one is not canonical or is the identity."""

    index: int
    blinded: bytes


@dataclass(frozen=True, slots=True)
class Charge:
    """Charge `count` evaluations to the key epoch's budget, durably before the next effect.

    The store charges once for each round, index and request digest.
    """

    index: int
    request: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Evaluate the elements and prove the evaluation; then report `EvaluationDone`."""

    index: int
    request: bytes
    blinded: bytes


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """Store the answer durably, for repeated requests; then report `AnswerStored`."""

    index: int
    request: bytes
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """Send the stored answer to chunk `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class SendPage:
    """Send at most `limit` entries of the committed table, from leaf index `start` on."""

    start: int
    limit: int


Effect: TypeAlias = CheckElements | Charge | Evaluate | StoreAnswer | SendAnswer | SendPage


def step(state: HolderState, event: Event) -> tuple[HolderState, tuple[Effect, ...]]:
    """Return the holder's state after an event, and the effects to perform (SPEC 10.2).

    Raises RoundError, with a code of SPEC 10.2, if the event is not allowed. The state then stays as it was.
    """
    match event:
        case EvaluationRequested():
            return _evaluation_requested(state, event)
        case EvaluationDone(index, evaluated, proof):
            chunk = _pending(state, index)
            return state, (StoreAnswer(index, chunk.request, evaluated, proof),)
        case AnswerStored(index, evaluated, proof):
            chunk = _pending(state, index)
            answered = replace(chunk, answer=answer_digest(chunk.request, evaluated, proof))
            return _with(state, index, answered), (SendAnswer(index),)
        case ChunkFailed(index):
            # A late failure, such as that of a call that timed out, must not remove a stored answer.
            failed = state.chunks.get(index)
            if failed is None or failed.answer is not None:
                return state, ()
            return _without(state, index), ()
        case PageRequested(start, now):
            _require_open(state, now)
            size = state.table.size
            if not 0 <= start < size:
                raise RoundError(Code.CHUNK_OUT_OF_RANGE, "a page begins outside the table")
            return state, (SendPage(start, min(PAGE_SIZE, size - start)),)
        case TableExtended(table):
            if state.header.mode is not RoundMode.STANDING or state.closed:
                raise RoundError(Code.WRONG_STATE, "the table grows only in an open standing round")
            table.require_extends(state.table)
            return replace(state, announced_table=table), ()
        case StatementIssued():
            if state.closed:
                raise RoundError(Code.WRONG_STATE, "the round is closed")
            state.digest()  # raises while a chunk is pending
            return replace(state, stated=True), ()
        case Closed():
            return replace(state, closed=True), ()


def _evaluation_requested(
    state: HolderState, event: EvaluationRequested
) -> tuple[HolderState, tuple[Effect, ...]]:
    _require_open(state, event.now)
    cap = state.header.party(state.holder).offer.cap
    count, rest = divmod(len(event.blinded), _ELEMENT_SIZE)
    if rest or not 1 <= count <= CHUNK_SIZE:
        raise RoundError(Code.BAD_LENGTH, f"a chunk does not have 1 to {CHUNK_SIZE} whole elements")
    # Chunks before the last are full in a batch round; in a standing round they have 16 elements or more.
    smallest = CHUNK_SIZE if state.header.mode is RoundMode.BATCH else STANDING_SMALLEST
    if not 0 <= event.index < -(-cap // smallest):
        raise RoundError(Code.CHUNK_OUT_OF_RANGE, "the index of a chunk is beyond the cap")
    request = request_digest(state.header.digest(), event.index, event.blinded)
    chunk = state.chunks.get(event.index)
    if chunk is not None:
        if chunk.request != request:
            raise RoundError(Code.CHUNK_REUSED)
        if chunk.answer is None:
            raise RoundError(Code.NOT_READY, "the chunk is pending")
        return state, (SendAnswer(event.index),)
    if state.stated:
        raise RoundError(Code.WRONG_STATE, "this lab issued its statement, so it answers no new chunk")
    if state.elements + count > cap:
        raise RoundError(Code.CAP_EXCEEDED)
    return _with(state, event.index, Chunk(request, count)), (
        CheckElements(event.index, event.blinded),
        Charge(event.index, request, count),
        Evaluate(event.index, request, event.blinded),
    )


def _pending(state: HolderState, index: int) -> Chunk:
    if state.closed:
        raise RoundError(Code.WRONG_STATE, "the round is closed")
    chunk = state.chunks.get(index)
    if chunk is None or chunk.answer is not None:
        raise RoundError(Code.WRONG_STATE, "no such chunk is pending")
    return chunk


def _require_open(state: HolderState, now: int) -> None:
    if state.closed:
        raise RoundError(Code.WRONG_STATE, "the round is closed")
    state.header.require_current(now)


def _with(state: HolderState, index: int, chunk: Chunk) -> HolderState:
    return replace(state, chunks=MappingProxyType({**state.chunks, index: chunk}))


def _without(state: HolderState, index: int) -> HolderState:
    return replace(
        state, chunks=MappingProxyType({i: chunk for i, chunk in state.chunks.items() if i != index})
    )
