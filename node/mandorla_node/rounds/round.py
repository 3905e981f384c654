"""A round while it lasts: both halves, and the order in which their events happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.message import Message

from mandorla.v1 import exchange_pb2
from mandorla_protocol.engine import Batch
from mandorla_protocol.epochs import LabId, proof_nonce
from mandorla_protocol.errors import Code, NodeError, RoundError
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.labels import Tag
from mandorla_protocol.session import holder
from mandorla_protocol.session.holder import HolderState
from mandorla_protocol.session.querier import Phase
from mandorla_protocol.session.transcript import CloseStatement, Outcome
from mandorla_protocol.table import TablePart

from ..crypto import workers
from ..crypto.workers import Workers
from ..peers import messages
from ..peers.client import PeerClient
from ..store import Peer, RoundState, Store, StoredChunk
from ..tables.builder import PreparedEpoch
from ..telemetry.metrics import kind_label
from .querier import Findings, Querier

_LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a chunk."""

    evaluated: bytes
    proof: bytes


class Round:
    """One round between this lab and a peer."""

    def __init__(
        self,
        header: RoundHeader,
        lab: LabId,
        peer: Peer,
        ready: PreparedEpoch,
        half: Querier,
        client: PeerClient,
        store: Store,
        pool: Workers,
    ) -> None:
        self.header = header
        self.peer = peer
        self.half = half
        self.client = client
        self.agreed = asyncio.Event()
        self.ended = asyncio.Event()
        # Nobody works on it any more: it has ended, and the peer was told.
        self.forgotten = asyncio.Event()
        # Records how the round ends, once that is decided: whatever comes later changes nothing.
        self.ending: asyncio.Task[None] | None = None
        self.state = RoundState.OPEN
        self.end_code: Code | None = None
        # This lab signed a commit; either lab signed an abort. It signs no other end then.
        self.commit_signed = False
        self.abort_signed = False
        # Why this lab aborted, if it did: it is told to a peer that asks on.
        self.abort_code: Code | None = None
        self.task: asyncio.Task[None] | None = None
        self.comparison: asyncio.Task[Findings] | None = None
        # What each line of the log says of a round, and when it was agreed.
        self.names = {
            "round": header.round_id.hex(),
            "peer": peer.name,
            "kind": kind_label(header.kind),
            "collection": header.collection,
        }
        self.log: structlog.typing.FilteringBoundLogger = _LOG.bind(**self.names)
        self._began: float | None = None
        self._lab = lab
        self._ready = ready
        self._store = store
        self._pool = pool
        self._holder = HolderState(header, lab)
        # The chunks that are being answered: their elements are kept with the answer, for an auditor.
        self._asked: dict[int, bytes] = {}
        self._decoded: dict[int, Batch] = {}
        self._answering: set[asyncio.Task[Answer]] = set()

    @property
    def evaluated_for_peer(self) -> int:
        """Elements that this lab evaluated for the peer, padding included."""
        return self._holder.elements

    def begin(self, now: int) -> None:
        """Begin this lab's half as the querier: both labs have signed the header."""
        self._began = time.monotonic()
        self.log.info("round agreed", initiated=self.header.initiator.lab == self._lab)
        self.agreed.set()
        self.task = asyncio.create_task(self._run_half(self.header.expires - now))

    async def _run_half(self, lifetime: float) -> None:
        try:
            async with asyncio.timeout(lifetime):
                await self.half.run()
        except TimeoutError:
            raise RoundError(Code.HEADER_EXPIRED) from None

    @property
    def seconds(self) -> float | None:
        """How long ago the round was agreed; None if it was not."""
        return None if self._began is None else time.monotonic() - self._began

    def progress(self) -> tuple[str, int, int]:
        """Return what this lab's half does now, and how much of how much is done."""
        if self.task is None:
            return "agreeing", 0, 0
        return ("closing", 0, 0) if self.half_complete else self.half.progress()

    @property
    def half_complete(self) -> bool:
        """Whether this lab's half is done."""
        return self.half.state.phase is Phase.COMPLETE

    async def complete(self) -> None:
        """Wait for this lab's half.

        Raises what stopped it, and RoundError(ROUND_ABORTED) if the peer ended the round before.
        """
        if self.task is None:
            raise RoundError(Code.WRONG_STATE)
        ended = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({self.task, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if self.task.done() and not self.task.cancelled():
            return self.task.result()
        raise RoundError(Code.ROUND_ABORTED, "the peer ended the round")

    def end(self, state: RoundState, code: Code | None = None) -> None:
        """Answer nothing from now on, and stop this lab's half; `code` says why, if the round failed.

        A round ends once: nothing changes how it ended.
        """
        if self.ended.is_set():
            return
        self.state, self.end_code = state, code
        self._holder, _ = holder.step(self._holder, holder.Closed())
        self.ended.set()
        self.agreed.set()
        if self.task is not None:
            self.task.cancel()

    async def evaluate(self, index: int, blinded: bytes, now: int) -> Answer:
        """Answer a chunk as the holder.

        A caller that hangs up does not stop this: a thread that writes cannot be stopped, so the chunk stays
        pending, and this lab states nothing, until it is known what was written.

        Raises RoundError or CryptoError if the chunk may not be answered. If the round ended meanwhile, that
        is the error, wherever the chunk was caught by it.
        """
        answering = asyncio.create_task(self._answer(index, blinded, now))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
        try:
            return await asyncio.shield(answering)
        except RoundError as error:
            late = error.code in (Code.WRONG_STATE, Code.UNKNOWN_ROUND)
            if late and self.ending is not None:
                await asyncio.shield(self.ending)
            if late and self.ended.is_set():
                raise self.over() from None
            raise

    def over(self) -> RoundError:
        """Return what a peer is told that asks after the end: why this lab aborted, if it did (SPEC 9.5)."""
        if self.abort_code is not None:
            return RoundError(self.abort_code, "this lab aborted the round")
        return RoundError(Code.UNKNOWN_ROUND, "the round has ended")

    async def _answer(self, index: int, blinded: bytes, now: int) -> Answer:
        self._holder, effects = holder.step(self._holder, holder.EvaluateRequested(index, blinded, now))
        self._asked[index] = blinded
        try:
            while True:
                outcome: holder.Event | Answer | None = None
                for effect in effects:
                    outcome = await self._perform(effect)
                if isinstance(outcome, Answer):
                    return outcome
                if outcome is None:
                    raise NodeError(Code.INTERNAL, "a chunk led to no answer")
                self._holder, effects = holder.step(self._holder, outcome)
        except BaseException:
            self._holder, _ = holder.step(self._holder, holder.ChunkFailed(index))
            raise
        finally:
            self._asked.pop(index, None)
            self._decoded.pop(index, None)

    async def _perform(self, effect: holder.Effect) -> holder.Event | Answer | None:
        """Do what the state machine asks for; return what comes of it."""
        match effect:
            case holder.CheckElements(index, blinded):
                self._decoded[index] = await self._pool.run(workers.decode_elements, blinded)
            case holder.Charge(index, request, count):
                charge = self._store.holder.charge
                await asyncio.to_thread(charge, self._ready.held, self.header.round_id, index, request, count)
            case holder.Evaluate(index, request, _):
                nonce = proof_nonce(self._ready.seed, self._ready.held.epoch, request)
                evaluated, proof = await self._pool.run(
                    workers.evaluate_and_prove, self._ready.keys, self._decoded.pop(index), nonce
                )
                return holder.EvaluationDone(index, evaluated, proof)
            case holder.StoreAnswer(index, request, evaluated, proof):
                chunk = StoredChunk(request, evaluated, proof, self._asked[index])
                keep = self._store.rounds.store_answer
                await asyncio.to_thread(keep, self._ready.held.id, self.header.round_id, index, chunk)
                return holder.AnswerStored(index, evaluated, proof)
            case holder.ReplyAnswer(index):
                chunk = await asyncio.to_thread(self._store.rounds.answer, self.header.round_id, index)
                return Answer(chunk.evaluated, chunk.proof)
        return None

    async def page(self, start: int, now: int) -> exchange_pb2.ListTagsResponse:
        """Answer with a page of the table that the header commits to."""
        self._holder, effects = holder.step(self._holder, holder.PageRequested(start, now))
        parts: tuple[TablePart, ...] = ()
        for effect in effects:
            if isinstance(effect, holder.ReplyPage):
                parts = await asyncio.to_thread(
                    self._store.holder.entries, self._ready.held, effect.start, effect.limit
                )
        return messages.parts_to(parts)

    async def subscribe(self, version: int) -> exchange_pb2.SubscribeResponse:
        """Answer with news of the table; raises RoundError(WRONG_STATE), for this round does not stand."""
        raise RoundError(Code.WRONG_STATE, "the round does not stand")

    def count(self, request: Message, response: Message) -> None:
        """Count a call of the peer's into the round's traffic, which has this lab's own calls already."""
        self.client.traffic.received += request.ByteSize()
        self.client.traffic.sent += response.ByteSize()

    def commit_statement(self) -> CloseStatement:
        """State what this lab saw of both halves, and answer nothing new from now on.

        Raises RoundError if a half is not complete; ROUND_ABORTED once either lab has signed an abort.
        """
        if self.abort_signed:
            raise RoundError(Code.ROUND_ABORTED)
        if self.task is None or not self.task.done():
            raise RoundError(Code.NOT_READY, "this lab's half runs")
        if not self.half_complete:
            raise RoundError(Code.ROUND_ABORTED)
        self._holder, _ = holder.step(self._holder, holder.StatementIssued())
        own, peers = self.half.state.digest(), self._holder.digest()
        initiated = self.header.initiator.lab == self._lab
        return CloseStatement(
            header_digest=self.header.digest(),
            initiator_half=own if initiated else peers,
            responder_half=peers if initiated else own,
            outcome=Outcome.COMMITTED,
        )

    def record_sightings(self, tags: Sequence[Tag]) -> None:
        """Record which flagged indicators the peer reports to have met."""
        ids = self._store.holder.indicators_behind(self._ready.held, tags)
        self._store.matches.record_sightings(self.peer.lab, self.header.round_id, ids)
