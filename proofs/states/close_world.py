"""Two labs that close a round: the real state machines of close and holder, over stores and calls in memory.

What runs is `closing.step` and `holder.step`. The rest of a node is modelled by what may happen, in any
order:

    writes    a transaction begins, a thread does it, and the node hears of it; a kill may come between
    calls     a request is sent, served and answered; each way it may be lost, and the caller repeats it once
    halves    a half ends at any time, fails, or waits for a chunk
    faults    lost calls and answers, deadlines, kills, stops, failed halves, failed records, waits that end
              early, and a peer that proposes another round
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, TypeAlias

from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.session import closing
from mandorla_protocol.session.closing import ClosingState, End, RoundState
from mandorla_protocol.session.holder import Chunk
from mandorla_protocol.session.transcript import (
    CloseStatement,
    answer_digest,
    half_digest,
    request_digest,
)

from .holder_claims import HEADER

NAMES: Final = ("initiator", "responder")
LABS: Final = (HEADER.initiator.lab, HEADER.responder.lab)
_DIGEST: Final = HEADER.digest()
NOW: Final = HEADER.created
BLINDED: Final = bytes([7] * 32)
REQUEST: Final = request_digest(_DIGEST, 0, BLINDED)
ANSWER: Final = answer_digest(REQUEST, b"evaluated", b"proof")
EMPTY_HALVES: Final = tuple(half_digest(HEADER, lab, ()) for lab in LABS)
ASKED_HALF: Final = half_digest(HEADER, LABS[0], (ANSWER,))

Step: TypeAlias = Callable[[ClosingState, closing.Event], tuple[ClosingState, tuple[closing.Effect, ...]]]


class Question(Enum):
    """What the initiator asks: nothing, a chunk of its half, or a chunk that is not in its half."""

    NONE = "none"
    CHUNK = "chunk"
    STRAY = "stray"


@dataclass(frozen=True)
class Close:
    """A log entry: a statement of an end, and whether it carries both labs' signatures."""

    statement: bytes
    both: bool


@dataclass(frozen=True)
class Charge:
    """A log entry: a chunk was charged."""

    index: int


@dataclass(frozen=True)
class Answer:
    """A log entry: a chunk was answered."""

    index: int
    digest: bytes


Entry: TypeAlias = Close | Charge | Answer | RoundState
"""An entry of a lab's log; a state is the end that the lab recorded."""


@dataclass(frozen=True)
class Disk:
    """What a lab's store holds of the round; `tests/proofs` holds it against the real store.

    `state` is None until the agreement is recorded. Each method returns the disk after a transaction, or
    raises the RoundError with which the store refuses it.
    """

    state: RoundState | None = None
    log: tuple[Entry, ...] = ()
    request: bytes | None = None
    answer: bytes | None = None

    def agree(self) -> Disk:
        """Record that both labs signed the header."""
        return replace(self, state=RoundState.OPEN)

    def finish(self, state: RoundState, closed: Close | None = None) -> Disk:
        """Record the end of the round, once, with the statement that was signed."""
        log = self.log if closed is None else (*self.log, closed)
        if self.state is not RoundState.OPEN:
            return replace(self, log=log)
        return replace(self, log=(*log, state), state=state)

    def may_charge(self) -> bool:
        """Say whether a chunk may be charged that was not charged before."""
        return self.state is RoundState.OPEN

    def charge(self, request: bytes) -> Disk:
        """Charge the chunk, once for its request."""
        if self.request is not None:
            if self.request != request:
                raise RoundError(Code.CHUNK_REUSED)
            return self
        if not self.may_charge():
            raise RoundError(Code.UNKNOWN_ROUND)
        return replace(self, request=request, log=(*self.log, Charge(0)))

    def store_answer(self, request: bytes, digest: bytes) -> Disk:
        """Keep the answer to the chunk, if it was charged."""
        if self.state is not RoundState.OPEN:
            raise RoundError(Code.UNKNOWN_ROUND)
        if self.request != request or self.answer is not None:
            return self
        return replace(self, answer=digest, log=(*self.log, Answer(0, digest)))

    def restart(self) -> Disk:
        """Start the node again after a kill: an open round is unconfirmed."""
        return self.finish(RoundState.UNCONFIRMED) if self.state is RoundState.OPEN else self


@dataclass(frozen=True)
class Write:
    """A transaction that is under way; `done` once it is on disk or refused, until the node hears of it."""

    what: str
    end: End | None = None
    done: bool = False
    refusal: Code | None = None
    orphan: bool = False
    """The node has forgotten the chunk that this transaction is for: a mutant does that."""


@dataclass(frozen=True)
class Call:
    """A call: sent, then served, then answered with an error or, for Close, with a statement."""

    caller: int
    what: str
    statement: CloseStatement | None = None
    stage: str = "sent"
    error: Code | None = None
    reply: CloseStatement | None = None
    repeated: bool = False
    unheard: bool = False
    """The caller does not wait for the answer any more."""


@dataclass(frozen=True)
class Lab:
    """One lab's node, its disk, and what it signed."""

    closing: ClosingState
    chunk: Chunk | None = None
    barred: bool = False
    closed: bool = False
    disk: Disk = field(default_factory=Disk)
    signed: frozenset[CloseStatement] = frozenset()
    writes: tuple[Write, ...] = ()
    half_runs: bool = True
    compares: bool = False
    stopped: bool = False
    dead: bool = False

    @property
    def open(self) -> bool:
        """Whether the header is agreed, and no end is decided."""
        return not self.dead and self.closing.open


@dataclass(frozen=True)
class World:
    """Both labs, the calls between them, and how many faults there were."""

    labs: tuple[Lab, Lab]
    calls: tuple[Call, ...] = ()
    faults: int = 0


@dataclass(frozen=True)
class Setting:
    """A kind of world, how many faults there are at most, and the code that runs in it."""

    question: Question
    faults: int
    asker: int = 0
    """The lab that asks the chunk, if one is asked."""
    step: Step = closing.step
    disk: type[Disk] = Disk
    forgets_chunks: bool = False
    """Whether a node forgets a chunk when the caller hangs up, while a thread writes its answer: a mutant."""

    def start(self) -> World:
        """Return the world in which both labs have signed the header, and are about to record that."""
        labs = tuple(
            Lab(
                ClosingState(_DIGEST, initiator=who == 0),
                disk=self.disk(),
                writes=(Write("agreement"),),
            )
            for who in (0, 1)
        )
        return World((labs[0], labs[1]))
