"""The holder's half of a round, driven: `session.holder` decides, this performs its effects (SPEC 10.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mandorla.v1 import exchange_pb2
from mandorla_protocol.engine import ElementBatch
from mandorla_protocol.epochs import proof_nonce
from mandorla_protocol.errors import Code, NodeError, RoundError
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.labels import Tag
from mandorla_protocol.session import holder
from mandorla_protocol.session.holder import HolderState
from mandorla_protocol.table import TableCommitment, TablePart

from ..core.tasks import retrieve_exception
from ..crypto import workers
from ..peers import messages
from ..store import Peer, StoredChunk
from ..tables.builder import PreparedEpoch
from .context import RoundContext


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a chunk."""

    evaluated: bytes
    proof: bytes


class Holder:
    """This lab's half of one round as the holder."""

    def __init__(self, header: RoundHeader, peer: Peer, epoch: PreparedEpoch, context: RoundContext) -> None:
        self._header = header
        self._peer = peer
        self._epoch = epoch
        self._context = context
        self._state = HolderState(header, context.lab)
        # The chunks that are being answered: their elements are kept with the answer, for an auditor.
        self._blinded: dict[int, bytes] = {}
        self._decoded: dict[int, ElementBatch] = {}
        self._answers: set[asyncio.Task[Answer]] = set()

    @property
    def elements(self) -> int:
        """Elements that this lab evaluated for the peer, padding included."""
        return self._state.elements

    @property
    def table(self) -> TableCommitment:
        """The table that the peer may read."""
        return self._state.table

    def digest(self) -> bytes | None:
        """Return the transcript digest of the half.

        None while a chunk is missing or unanswered (SPEC 9.6).
        """
        try:
            return self._state.digest()
        except RoundError:
            return None

    def bar(self) -> None:
        """Answer no chunk that is not answered yet: this lab signs a statement of the half."""
        self._state, _ = holder.step(self._state, holder.StatementIssued())

    def close(self) -> None:
        """Answer nothing any more."""
        self._state, _ = holder.step(self._state, holder.Closed())

    def extend(self, table: TableCommitment) -> None:
        """Let the peer read a newer version of the table, in a standing round.

        Raises RoundError if it does not extend the table that the peer may read.
        """
        self._state, _ = holder.step(self._state, holder.TableExtended(table))

    async def evaluate(self, index: int, blinded: bytes, now: int) -> Answer:
        """Answer a chunk.

        A caller that hangs up does not stop this: a thread that writes cannot be stopped, so the chunk stays
        pending, and this lab signs no statement, until it is known what was written.

        Raises RoundError or CryptoError if the chunk may not be answered.
        """
        answer = asyncio.create_task(self._answer(index, blinded, now))
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)
        answer.add_done_callback(retrieve_exception)
        return await asyncio.shield(answer)

    async def _answer(self, index: int, blinded: bytes, now: int) -> Answer:
        self._state, effects = holder.step(self._state, holder.EvaluationRequested(index, blinded, now))
        self._blinded[index] = blinded
        try:
            while True:
                outcome: holder.Event | Answer | None = None
                for effect in effects:
                    outcome = await self._perform(effect)
                if isinstance(outcome, Answer):
                    return outcome
                if outcome is None:
                    raise NodeError(Code.INTERNAL, "a chunk led to no answer")
                self._state, effects = holder.step(self._state, outcome)
        except BaseException:
            self._state, _ = holder.step(self._state, holder.ChunkFailed(index))
            raise
        finally:
            self._blinded.pop(index, None)
            self._decoded.pop(index, None)

    async def _perform(self, effect: holder.Effect) -> holder.Event | Answer | None:
        """Perform an effect; return the event or the answer that it yields."""
        store, run = self._context.store, self._context.workers.run
        held, round_id = self._epoch.held, self._header.round_id
        match effect:
            case holder.CheckElements(index, blinded):
                self._decoded[index] = await run(workers.decode_elements, blinded)
            case holder.Charge(index, request, count):
                await asyncio.to_thread(store.holder.charge, held, round_id, index, request, count)
            case holder.Evaluate(index, request, _):
                nonce = proof_nonce(self._epoch.seed, held.epoch, request)
                evaluated, proof = await run(
                    workers.evaluate_and_prove, self._epoch.keys, self._decoded.pop(index), nonce
                )
                return holder.EvaluationDone(index, evaluated, proof)
            case holder.StoreAnswer(index, request, evaluated, proof):
                chunk = StoredChunk(request, evaluated, proof, self._blinded[index])
                await asyncio.to_thread(store.rounds.store_answer, held.id, round_id, index, chunk)
                return holder.AnswerStored(index, evaluated, proof)
            case holder.SendAnswer(index):
                stored = await asyncio.to_thread(store.rounds.answer, round_id, index)
                return Answer(stored.evaluated, stored.proof)
        return None

    async def page(self, start: int, now: int) -> exchange_pb2.ListTagsResponse:
        """Return a page of the table, from leaf `start` on.

        Raises RoundError if the page is not the peer's to read.
        """
        self._state, effects = holder.step(self._state, holder.PageRequested(start, now))
        parts: tuple[TablePart, ...] = ()
        for effect in effects:
            if isinstance(effect, holder.SendPage):
                entries = self._context.store.holder.entries
                parts = await asyncio.to_thread(entries, self._epoch.held, effect.start, effect.limit)
        return messages.parts_to(parts)

    def record_sightings(self, tags: Sequence[Tag]) -> None:
        """Record which flagged indicators the peer reports to have seen; called in a thread."""
        store = self._context.store
        ids = store.holder.indicators_of_tags(self._epoch.held, tags)
        store.matches.record_sightings(self._peer.lab, self._header.round_id, ids)
