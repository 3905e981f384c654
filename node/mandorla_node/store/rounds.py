"""Rounds, and the chunks answered in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import RoundHeader, RoundId, RoundKind
from mandorla_protocol.log.entries import ChunkEvaluated, RoundAgreed, RoundClosed, RoundEnded
from mandorla_protocol.session.closing import RoundState
from mandorla_protocol.session.transcript import answer_digest

from ..core.clock import Clock
from .database import Database
from .log import append
from .schema import CHUNKS, HELD_EPOCHS, ROUNDS


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round in the store. Times are Unix seconds; `closed_at` is 0 while the round is open."""

    round_id: RoundId
    peer: LabId
    kind: RoundKind
    collection: str
    state: RoundState
    code: str
    created_at: int
    closed_at: int


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk that this lab evaluated for a peer."""

    request: bytes
    evaluated: bytes
    proof: bytes
    blinded: bytes = b""


class Rounds:
    """Rounds and their chunks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def finish(
        self, round_id: RoundId, state: RoundState, code: str = "", closed: RoundClosed | None = None
    ) -> None:
        """Record the end of an open round, once, with the signed statement of the close, if there is one."""
        with self._database.write() as connection:
            if closed is not None:
                append(connection, closed, round_id)
            self._finish(connection, round_id, state, code)

    def interrupt_open(self) -> int:
        """Close the rounds that the last run of the node left open; return their number."""
        with self._database.write() as connection:
            found = select(ROUNDS.c.id).where(ROUNDS.c.state == RoundState.OPEN.value)
            open_rounds = list(connection.scalars(found.order_by(ROUNDS.c.created_at, ROUNDS.c.id)))
            for round_id in open_rounds:
                self._finish(connection, round_id, RoundState.UNCONFIRMED, Code.ROUND_ABORTED.name)
        return len(open_rounds)

    def _finish(self, connection: Connection, round_id: RoundId, state: RoundState, code: str) -> None:
        now = self._clock()
        ended = connection.execute(
            update(ROUNDS)
            .where(ROUNDS.c.id == round_id, ROUNDS.c.state == RoundState.OPEN.value)
            .values(state=state.value, code=code, closed_at=now)
        )
        if ended.rowcount:
            append(connection, RoundEnded(round_id, state.value, code, now), round_id)

    def recent(self, limit: int) -> list[RoundRecord]:
        """Return the latest rounds, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(ROUNDS).order_by(ROUNDS.c.created_at.desc(), ROUNDS.c.id).limit(limit)
            ).all()
        return [_record(row) for row in rows]

    def elements(self, round_id: RoundId, index: int) -> tuple[bytes, bytes] | None:
        """Return the blinded and evaluated elements of a chunk, None if the store has deleted them."""
        with self._database.read() as connection:
            row = connection.execute(
                select(CHUNKS.c.blinded, CHUNKS.c.evaluated).where(
                    CHUNKS.c.round_id == round_id, CHUNKS.c.chunk_index == index
                )
            ).one_or_none()
        return None if row is None or not row.blinded else (row.blinded, row.evaluated)

    def forget_elements(self, before: int) -> int:
        """Delete the elements of rounds that were closed before a time; return the number of chunks.

        The log keeps their digests and proofs.
        """
        closed = select(ROUNDS.c.id).where(
            ROUNDS.c.state != RoundState.OPEN.value, ROUNDS.c.closed_at < before
        )
        with self._database.write() as connection:
            return connection.execute(
                update(CHUNKS)
                .where(CHUNKS.c.round_id.in_(closed), CHUNKS.c.blinded.is_not(None))
                .values(blinded=None, evaluated=None)
            ).rowcount

    def record_agreement(
        self, header: RoundHeader, peer: LabId, encoded: bytes, own_signature: bytes, peer_signature: bytes
    ) -> None:
        """Record a round that both labs signed; raises RoundError(WRONG_STATE) if its id is in use."""
        now = self._clock()
        with self._database.write() as connection:
            if connection.scalar(select(ROUNDS.c.id).where(ROUNDS.c.id == header.round_id)) is not None:
                raise RoundError(Code.WRONG_STATE, "a round with this id exists")
            connection.execute(
                insert(ROUNDS).values(
                    id=header.round_id,
                    peer=peer,
                    kind=int(header.kind),
                    collection=header.collection,
                    state=RoundState.OPEN.value,
                    code="",
                    created_at=now,
                    closed_at=0,
                )
            )
            entry = RoundAgreed(encoded, own_signature, peer_signature, now)
            append(connection, entry, header.round_id)

    def store_answer(self, epoch_id: int, round_id: RoundId, index: int, chunk: StoredChunk) -> None:
        """Store the answer to a charged chunk, once.

        Raises RoundError: UNKNOWN_ROUND if the round has ended, EPOCH_RETIRED if the key epoch has: the log
        must not have an answer after the end of its round or its epoch.
        """
        digest = answer_digest(chunk.request, chunk.evaluated, chunk.proof)
        with self._database.write() as connection:
            state = connection.scalar(select(ROUNDS.c.state).where(ROUNDS.c.id == round_id))
            if state != RoundState.OPEN.value:
                raise RoundError(Code.UNKNOWN_ROUND, "the round has ended")
            seed = select(HELD_EPOCHS.c.sealed_seed).where(HELD_EPOCHS.c.id == epoch_id)
            if connection.scalar(seed) is None:
                raise RoundError(Code.EPOCH_RETIRED)
            stored = connection.execute(
                update(CHUNKS)
                .where(
                    CHUNKS.c.round_id == round_id,
                    CHUNKS.c.chunk_index == index,
                    CHUNKS.c.request == chunk.request,
                    CHUNKS.c.evaluated.is_(None),
                )
                .values(evaluated=chunk.evaluated, proof=chunk.proof, blinded=chunk.blinded)
            )
            if stored.rowcount:
                entry = ChunkEvaluated(round_id, index, digest, chunk.proof, self._clock())
                append(connection, entry, round_id)

    def answer(self, round_id: RoundId, index: int) -> StoredChunk:
        """Return the answer to a chunk; raises RoundError(WRONG_STATE) if there is none."""
        with self._database.read() as connection:
            row = connection.execute(
                select(CHUNKS).where(CHUNKS.c.round_id == round_id, CHUNKS.c.chunk_index == index)
            ).one_or_none()
        if row is None or row.evaluated is None:
            raise RoundError(Code.WRONG_STATE, "the chunk has no answer")
        return StoredChunk(row.request, row.evaluated, row.proof)


def _record(row: Row[Any]) -> RoundRecord:
    return RoundRecord(
        round_id=RoundId(row.id),
        peer=LabId(row.peer),
        kind=RoundKind(row.kind),
        collection=row.collection,
        state=RoundState(row.state),
        code=row.code,
        created_at=row.created_at,
        closed_at=row.closed_at,
    )
