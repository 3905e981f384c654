"""The querier's half of a round (SPEC 10.1): have its own indicators evaluated, and read the holder's table.

EVALUATING   chunks are blinded, sent, verified and finalized, a few at a time
READING      the table is read page by page and checked against the commitment
STANDING     in a standing round: both are done for now; more is asked and read as it comes
COMPLETE     both are done; only now, or while the round stands, may tags and table be compared
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
"""While the holder evaluates one chunk, the querier blinds or verifies another."""


class Phase(Enum):
    """Where a querier's half stands."""

    EVALUATING = "evaluating"
    READING = "reading"
    STANDING = "standing"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class QuerierState:
    """What a querier remembers of its half.

    `counts` are the chunks' sizes, padding included; `requests` the digests of chunks sent, `answers` those
    of chunks verified.
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
        """Whether everything that was asked is answered, and everything that was announced is read."""
        return len(self.answers) == len(self.counts) and self.reader.complete

    @property
    def holder(self) -> LabId:
        """The lab that is asked."""
        return self.header.other(self.querier).lab

    def digest(self) -> bytes:
        """Return the half's transcript digest (SPEC 9.6).

        Raises RoundError(WRONG_STATE) before every chunk was verified.
        """
        if len(self.answers) != len(self.counts):
            raise RoundError(Code.WRONG_STATE, "chunks are missing")
        return half_digest(self.header, self.querier, [self.answers[i] for i in range(len(self.counts))])


@dataclass(frozen=True, slots=True)
class Started:
    """The header is signed by both labs."""


@dataclass(frozen=True, slots=True)
class ChunkBlinded:
    """Chunk `index` was blinded and may be sent."""

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
    """The answer to chunk `index` was verified and its tags are stored."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class PageReceived:
    """The holder sent the next entries of its table."""

    parts: tuple[TablePart, ...]


@dataclass(frozen=True, slots=True)
class IndicatorsQueued:
    """While the round stands and nothing is asked: `count` indicators have no tag yet."""

    count: int


@dataclass(frozen=True, slots=True)
class TableAnnounced:
    """While the round stands and nothing is read: the holder's table has come to this."""

    table: TableCommitment


@dataclass(frozen=True, slots=True)
class StandingEnded:
    """The standing round is to be closed: nothing more is asked or read."""


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
    """Blind the next `count` tokens, random ones once the indicators run out; answer with `ChunkBlinded`."""

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class RequestEvaluation:
    """Send the chunk, and answer with `ChunkAnswered`. May be repeated, with the same bytes only."""

    index: int
    blinded: bytes


@dataclass(frozen=True, slots=True)
class Finalize:
    """Verify the proof, then store the chunk's tags and label keys; answer with `ChunkFinalized`."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Ask for table entries from a leaf index on; answer with `PageReceived`."""

    start: int


@dataclass(frozen=True, slots=True)
class StageEntries:
    """Store entries as unverified, from a leaf index on."""

    start: int
    parts: tuple[TablePart, ...]


@dataclass(frozen=True, slots=True)
class AcceptTable:
    """The staged entries are those that the holder committed to: verified from now on."""

    reader: TableReader


Effect: TypeAlias = Blind | RequestEvaluation | Finalize | RequestPage | StageEntries | AcceptTable


def open_half(header: RoundHeader, querier: LabId, count: int, reader: TableReader) -> QuerierState:
    """Plan the half for `count` indicators that have no tag yet in this epoch.

    Raises RoundError: CAP_EXCEEDED if their size class is over what the header allows, TABLE_MISMATCH if
    `reader` reads another table than the header's.
    """
    if reader.committed != header.other(querier).offer.table:
        raise RoundError(Code.TABLE_MISMATCH, "the reader is not for the header's table")
    padded = size_class(count)
    if padded > header.other(querier).offer.cap:
        raise RoundError(Code.CAP_EXCEEDED, "this lab has more indicators to compare than the peer allows")
    return QuerierState(header, querier, chunk_counts(padded), reader)


def step(state: QuerierState, event: Event) -> tuple[QuerierState, tuple[Effect, ...]]:
    """Advance the querier's half by one event.

    Raises RoundError if the event does not fit the state or the table is not what was committed to; the state
    then stays as it was and the round must be aborted.
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
                raise RoundError(Code.CAP_EXCEEDED, "the standing round has no evaluations left")
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
    return (AcceptTable(state.reader),) if state.settled else ()
