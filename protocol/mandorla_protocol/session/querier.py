"""The querier's half of a round (SPEC 10.1): evaluate own indicators with the holder, and read its table.

EVALUATING   blind, send, verify and finalize chunks, `CHUNKS_IN_FLIGHT` at a time
READING      read the table page by page, and check it against the commitment
STANDING     in a standing round: send chunks of new indicators, and read announced versions
COMPLETE     all chunks are finalized, and all entries are verified

The caller compares tags with the table only in STANDING and COMPLETE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeAlias

from ..epochs import LabId
from ..errors import Code, RoundError
from ..header import RoundHeader, RoundMode
from ..sizes import STANDING_SMALLEST, chunk_counts, size_class
from ..table import TableCommitment, TablePart, TableReader
from .transcript import answer_digest, half_digest, request_digest

CHUNKS_IN_FLIGHT: Final = 2
"""The most chunks under way.

With two, the querier blinds or verifies one while the holder evaluates the other.
"""


class Phase(Enum):
    """The phase of a querier's half."""

    EVALUATING = "evaluating"
    READING = "reading"
    STANDING = "standing"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class QuerierState:
    """The state of a querier's half.

    `counts` are the sizes of all chunks, padding included. `chunks_begun` is the number of chunks with a
    `Blind` effect. `requests` has the request digests of blinded chunks by index, `answers` the
    answer digests of finalized chunks.
    """

    header: RoundHeader
    querier: LabId
    counts: tuple[int, ...]
    reader: TableReader
    phase: Phase = Phase.EVALUATING
    chunks_begun: int = 0
    requests: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))
    answers: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def settled(self) -> bool:
        """Whether all chunks are finalized, and all committed entries are read."""
        return len(self.answers) == len(self.counts) and self.reader.complete

    @property
    def holder(self) -> LabId:
        """The lab that evaluates, and whose table this lab reads."""
        return self.header.other(self.querier).lab

    def digest(self) -> bytes:
        """Return the half's digest, 32 bytes (SPEC 9.6).

        Raises RoundError: WRONG_STATE before all chunks are finalized.
        """
        if len(self.answers) != len(self.counts):
            raise RoundError(Code.WRONG_STATE, "some chunks are not finalized")
        return half_digest(self.header, self.querier, [self.answers[i] for i in range(len(self.counts))])


@dataclass(frozen=True, slots=True)
class Started:
    """Both labs signed the header."""


@dataclass(frozen=True, slots=True)
class ChunkBlinded:
    """The caller blinded chunk `index`."""

    index: int
    blinded: bytes


@dataclass(frozen=True, slots=True)
class ChunkAnswered:
    """The holder answered chunk `index`."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class ChunkFinalized:
    """The caller verified the answer to chunk `index`, and stored its tags and label keys."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class PageReceived:
    """The holder sent the next entries of its table."""

    parts: tuple[TablePart, ...]


@dataclass(frozen=True, slots=True)
class IndicatorsQueued:
    """In STANDING, with no chunk under way: `count` more indicators need a tag."""

    count: int


@dataclass(frozen=True, slots=True)
class TableAnnounced:
    """In STANDING, with no page under way: the holder announced a table."""

    table: TableCommitment


@dataclass(frozen=True, slots=True)
class StandingEnded:
    """A lab decided to close the standing round: no further chunk is sent, and no further page is read."""


Event: TypeAlias = (
    Started
    | ChunkBlinded
    | ChunkAnswered
    | ChunkFinalized
    | PageReceived
    | IndicatorsQueued
    | TableAnnounced
    | StandingEnded
)


@dataclass(frozen=True, slots=True)
class Blind:
    """Blind the next `count` tokens, random tokens after the last indicator; then report `ChunkBlinded`."""

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class RequestEvaluation:
    """Send the chunk with Evaluate; then report `ChunkAnswered`. A repeated call must have the same bytes."""

    index: int
    blinded: bytes


@dataclass(frozen=True, slots=True)
class Finalize:
    """Verify the proof, unblind, and store the chunk's tags and label keys; then report `ChunkFinalized`."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Request table entries from leaf index `start` on; then report `PageReceived`."""

    start: int


@dataclass(frozen=True, slots=True)
class StageEntries:
    """Store entries as unverified, from leaf index `start` on."""

    start: int
    parts: tuple[TablePart, ...]


@dataclass(frozen=True, slots=True)
class AcceptTable:
    """Mark the staged entries as verified: the holder committed to exactly these."""

    reader: TableReader


Effect: TypeAlias = Blind | RequestEvaluation | Finalize | RequestPage | StageEntries | AcceptTable


def open_half(header: RoundHeader, querier: LabId, count: int, reader: TableReader) -> QuerierState:
    """Return the first state of a half, for `count` indicators without a tag in this key epoch (SPEC 10.1).

    Raises RoundError: CAP_EXCEEDED if their size class is over the header's cap; TABLE_MISMATCH if `reader`
    does not read the header's table.
    """
    if reader.committed != header.other(querier).offer.table:
        raise RoundError(Code.TABLE_MISMATCH, "the reader does not read the header's table")
    padded = size_class(count)
    if padded > header.other(querier).offer.cap:
        raise RoundError(Code.CAP_EXCEEDED, "this lab has more indicators to compare than the peer allows")
    return QuerierState(header, querier, chunk_counts(padded), reader)


def step(state: QuerierState, event: Event) -> tuple[QuerierState, tuple[Effect, ...]]:
    """Return the querier's state after an event, and the effects to perform (SPEC 10.1, 19.5).

    Raises RoundError, with a code of SPEC 10.1, if the event does not fit the state, or if the table differs
    from the commitment. The state then stays as it was, and the caller must abort the round.
    """
    match event:
        case Started() if state.phase is Phase.EVALUATING and state.chunks_begun == 0:
            return _blind_more(state, CHUNKS_IN_FLIGHT)
        case ChunkBlinded(index, blinded) if 0 <= index < state.chunks_begun and index not in state.requests:
            request = request_digest(state.header.digest(), index, blinded)
            requests = MappingProxyType({**state.requests, index: request})
            return replace(state, requests=requests), (RequestEvaluation(index, blinded),)
        case ChunkAnswered(index, evaluated, proof) if index in state.requests and index not in state.answers:
            return state, (Finalize(index, evaluated, proof),)
        case ChunkFinalized(index, evaluated, proof) if (
            index in state.requests and index not in state.answers
        ):
            digest = answer_digest(state.requests[index], evaluated, proof)
            state = replace(state, answers=MappingProxyType({**state.answers, index: digest}))
            if len(state.answers) < len(state.counts):
                return _blind_more(state, 1)
            return _read_more(state) if state.phase is Phase.EVALUATING else (state, _accept(state))
        case PageReceived(parts) if state.phase is Phase.READING or (
            state.phase is Phase.STANDING and not state.reader.complete
        ):
            start = state.reader.position
            state = replace(state, reader=state.reader.accept(parts))
            state, effects = _read_more(state)
            return state, (StageEntries(start, parts), *effects)
        case IndicatorsQueued(count) if state.phase is Phase.STANDING and len(state.answers) == len(
            state.counts
        ):
            padded = size_class(count, STANDING_SMALLEST)
            if sum(state.counts) + padded > state.header.other(state.querier).offer.cap:
                raise RoundError(
                    Code.CAP_EXCEEDED, "the class of the new indicators is over the cap that is left"
                )
            counts = state.counts + chunk_counts(padded)
            return _blind_more(replace(state, counts=counts), CHUNKS_IN_FLIGHT)
        case TableAnnounced(table) if state.phase is Phase.STANDING and state.reader.complete:
            reader = state.reader
            if table == reader.committed:
                return state, ()
            reader = TableReader.resume(reader.committed, reader.frontier, table)
            return replace(state, reader=reader), (RequestPage(reader.position),)
        case StandingEnded() if state.phase is Phase.STANDING and state.settled:
            return replace(state, phase=Phase.COMPLETE), ()
        case _:
            raise RoundError(Code.WRONG_STATE, f"{type(event).__name__} while {state.phase.value}")


def _blind_more(state: QuerierState, more: int) -> tuple[QuerierState, tuple[Effect, ...]]:
    indices = range(state.chunks_begun, min(state.chunks_begun + more, len(state.counts)))
    effects = tuple(Blind(index, state.counts[index]) for index in indices)
    return replace(state, chunks_begun=state.chunks_begun + len(indices)), effects


def _read_more(state: QuerierState) -> tuple[QuerierState, tuple[Effect, ...]]:
    if not state.reader.complete:
        if state.phase is Phase.EVALUATING:
            state = replace(state, phase=Phase.READING)
        return state, (RequestPage(state.reader.position),)
    state.reader.require_complete()
    if state.phase is not Phase.STANDING:
        stands = state.header.mode is RoundMode.STANDING
        state = replace(state, phase=Phase.STANDING if stands else Phase.COMPLETE)
    return state, _accept(state)


def _accept(state: QuerierState) -> tuple[Effect, ...]:
    # A table becomes verified only when all chunks are finalized too, so that comparing starts in one place.
    return (AcceptTable(state.reader),) if state.settled else ()
