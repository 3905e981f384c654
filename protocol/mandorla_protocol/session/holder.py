"""The holder's half of a round (SPEC 10.2): answer chunks within the header, and hand out the table.

EvaluationRequested -> check elements, charge the budget durably, evaluate
EvaluationDone    -> store the answer durably, reply
PageRequested     -> reply with a page of the committed table
TableExtended     -> in a standing round: pages of what was added to the table since
Closed            -> nothing is answered any more
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
    """A chunk that was asked for: digest of the request, number of elements, digest of the answer if any."""

    request: bytes
    count: int
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class HolderState:
    """What a holder remembers of its half."""

    header: RoundHeader
    holder: LabId
    chunks: Mapping[int, Chunk] = field(default_factory=lambda: MappingProxyType({}))
    announced_table: TableCommitment | None = None
    stated: bool = False
    closed: bool = False

    @property
    def querier(self) -> LabId:
        """The lab that asks."""
        return self.header.other(self.holder).lab

    @property
    def table(self) -> TableCommitment:
        """The table that the querier may read: that of the header, or what was announced since."""
        return self.announced_table or self.header.party(self.holder).offer.table

    @property
    def elements(self) -> int:
        """Elements asked for so far, padding included."""
        return sum(chunk.count for chunk in self.chunks.values())

    def digest(self) -> bytes:
        """Return the half's transcript digest (SPEC 9.6).

        Raises RoundError(TRANSCRIPT_MISMATCH) unless the chunks 0 to n-1 are all answered.
        """
        answers = []
        for index in range(len(self.chunks)):
            chunk = self.chunks.get(index)
            if chunk is None or chunk.answer is None:
                raise RoundError(Code.TRANSCRIPT_MISMATCH, "the half has a gap or an unanswered chunk")
            answers.append(chunk.answer)
        return half_digest(self.header, self.querier, answers)


@dataclass(frozen=True, slots=True)
class EvaluationRequested:
    """The querier sent chunk `index` of blinded elements, 32 bytes each. `now` is Unix seconds."""

    index: int
    blinded: bytes
    now: int


@dataclass(frozen=True, slots=True)
class EvaluationDone:
    """The chunk was charged and evaluated."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class AnswerStored:
    """The answer is on disk, and may leave."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class ChunkFailed:
    """An effect of the chunk failed before its answer was stored; the same request may come again."""

    index: int


@dataclass(frozen=True, slots=True)
class PageRequested:
    """The querier asks for table entries from a leaf index on. `now` is Unix seconds."""

    start: int
    now: int


@dataclass(frozen=True, slots=True)
class TableExtended:
    """The table has a newer version, which is announced to the querier."""

    table: TableCommitment


@dataclass(frozen=True, slots=True)
class StatementIssued:
    """This lab signs a statement of what the half was: no chunk can come to it any more."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The round ended."""


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
    """Refuse the chunk unless every element is canonical and none is the identity."""

    index: int
    blinded: bytes


@dataclass(frozen=True, slots=True)
class Charge:
    """Charge the epoch's budget, once for this round, index and digest, and durably before going on."""

    index: int
    request: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Evaluate the elements and prove it; answer with `EvaluationDone`."""

    index: int
    request: bytes
    blinded: bytes


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """Keep the answer, so that the same request gets the same answer; then go on with `AnswerStored`."""

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
    """Advance the holder's half by one event.

    Raises RoundError if the event is not allowed; the state then stays as it was.
    """
    match event:
        case EvaluationRequested():
            return _evaluate_requested(state, event)
        case EvaluationDone(index, evaluated, proof):
            chunk = _pending(state, index)
            return state, (StoreAnswer(index, chunk.request, evaluated, proof),)
        case AnswerStored(index, evaluated, proof):
            chunk = _pending(state, index)
            answered = replace(chunk, answer=answer_digest(chunk.request, evaluated, proof))
            return _with(state, index, answered), (SendAnswer(index),)
        case ChunkFailed(index):
            failed = state.chunks.get(index)
            if failed is None or failed.answer is not None:
                return state, ()
            return _without(state, index), ()
        case PageRequested(start, now):
            _require_open(state, now)
            size = state.table.size
            if not 0 <= start < size:
                raise RoundError(Code.CHUNK_OUT_OF_RANGE, "a page starts outside the table")
            return state, (SendPage(start, min(PAGE_SIZE, size - start)),)
        case TableExtended(table):
            if state.header.mode is not RoundMode.STANDING or state.closed:
                raise RoundError(Code.WRONG_STATE, "only the table of a standing round grows while it lasts")
            table.require_extends(state.table)
            return replace(state, announced_table=table), ()
        case StatementIssued():
            if state.closed:
                raise RoundError(Code.WRONG_STATE, "the round is closed")
            state.digest()
            return replace(state, stated=True), ()
        case Closed():
            return replace(state, closed=True), ()


def _evaluate_requested(
    state: HolderState, event: EvaluationRequested
) -> tuple[HolderState, tuple[Effect, ...]]:
    _require_open(state, event.now)
    cap = state.header.party(state.holder).offer.cap
    count, rest = divmod(len(event.blinded), _ELEMENT_SIZE)
    if rest or not 1 <= count <= CHUNK_SIZE:
        raise RoundError(Code.BAD_LENGTH, f"a chunk has 1 to {CHUNK_SIZE} whole elements")
    smallest = CHUNK_SIZE if state.header.mode is RoundMode.BATCH else STANDING_SMALLEST
    if not 0 <= event.index < -(-cap // smallest):
        raise RoundError(Code.CHUNK_OUT_OF_RANGE, "a chunk's index is beyond the cap")
    request = request_digest(state.header.digest(), event.index, event.blinded)
    known = state.chunks.get(event.index)
    if known is not None:
        if known.request != request:
            raise RoundError(Code.CHUNK_REUSED)
        if known.answer is None:
            raise RoundError(Code.NOT_READY, "the chunk is being evaluated")
        return state, (SendAnswer(event.index),)
    if state.stated:
        raise RoundError(Code.WRONG_STATE, "this lab has stated what the round was")
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
        raise RoundError(Code.WRONG_STATE, "no such chunk is being evaluated")
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
