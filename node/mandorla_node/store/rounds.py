"""Rounds, the chunks answered in them, and the append-only journal of what was signed and exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, insert, select, update

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import Kind, RoundHeader, RoundId

from ..clock import Clock
from .database import Database
from .schema import CHUNKS, JOURNAL, ROUNDS


class RoundState(StrEnum):
    """How far a round came. `unconfirmed`: this lab finished, and the peer vanished before the close."""

    OPEN = "open"
    COMMITTED = "committed"
    UNCONFIRMED = "unconfirmed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round as the store remembers it."""

    round_id: RoundId
    peer: LabId
    kind: Kind
    collection: str
    state: RoundState
    code: str
    created_at: int
    closed_at: int


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal: an encoded structure and the labs' signatures on it, where there are any."""

    round_id: RoundId
    event: str
    body: bytes
    own_signature: bytes = b""
    peer_signature: bytes = b""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk that this lab answered."""

    request: bytes
    evaluated: bytes
    proof: bytes
    blinded: bytes = b""


@dataclass(frozen=True, slots=True)
class RoundAudit:
    """What the store keeps of a round beside its chunks: its id, its state, and its journal with times.

    A round that was proposed and, as far as this lab knows, never agreed has no state.
    """

    round_id: RoundId
    state: RoundState | None
    journal: list[tuple[int, JournalEntry]]


class Rounds:
    """Rounds and their journal."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open(self, header: RoundHeader, peer: LabId) -> None:
        """Record a round; raises RoundError(WRONG_STATE) if its id was used before."""
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
                    created_at=self._clock(),
                    closed_at=0,
                )
            )

    def finish(self, round_id: RoundId, state: RoundState, code: str = "") -> None:
        """Record how an open round ended; an end is recorded once."""
        with self._database.write() as connection:
            connection.execute(
                update(ROUNDS)
                .where(ROUNDS.c.id == round_id, ROUNDS.c.state == RoundState.OPEN.value)
                .values(state=state.value, code=code, closed_at=self._clock())
            )

    def interrupt_open(self) -> int:
        """Close the rounds that a stopped node left open; return their number."""
        with self._database.write() as connection:
            return connection.execute(
                update(ROUNDS)
                .where(ROUNDS.c.state == RoundState.OPEN.value)
                .values(
                    state=RoundState.UNCONFIRMED.value, code=Code.ROUND_ABORTED.name, closed_at=self._clock()
                )
            ).rowcount

    def recent(self, limit: int) -> list[RoundRecord]:
        """Return the latest rounds, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(ROUNDS).order_by(ROUNDS.c.created_at.desc(), ROUNDS.c.id).limit(limit)
            ).all()
        return [_record(row) for row in rows]

    def for_audit(self) -> Iterator[RoundAudit]:
        """Yield what is kept of every round, in the order in which they began; one round at a time."""
        with self._database.read() as connection:
            began = select(JOURNAL.c.round_id).group_by(JOURNAL.c.round_id)
            ids = list(connection.scalars(began.order_by(func.min(JOURNAL.c.sequence))))
        for round_id in ids:
            with self._database.read() as connection:
                state = connection.scalar(select(ROUNDS.c.state).where(ROUNDS.c.id == round_id))
                lines = connection.execute(
                    select(JOURNAL).where(JOURNAL.c.round_id == round_id).order_by(JOURNAL.c.sequence)
                ).all()
            yield RoundAudit(
                RoundId(round_id),
                None if state is None else RoundState(state),
                [
                    (line.at, JournalEntry(RoundId(round_id), line.event, line.body, *_signatures(line)))
                    for line in lines
                ],
            )

    def chunks(self, round_id: RoundId) -> Iterator[tuple[int, int, StoredChunk]]:
        """Yield the chunks that were charged in a round, by index, with their elements; one at a time.

        One that was never answered has no content.
        """
        place = and_(CHUNKS.c.round_id == round_id, CHUNKS.c.chunk_index > bindparam("after"))
        following = select(CHUNKS).where(place).order_by(CHUNKS.c.chunk_index).limit(1)
        after = -1
        while True:
            with self._database.read() as connection:
                row = connection.execute(following, {"after": after}).one_or_none()
            if row is None:
                return
            after = row.chunk_index
            # A row has a method called count.
            count = row._mapping[CHUNKS.c.count]
            content = (row.evaluated or b"", row.proof or b"", row.blinded or b"")
            yield after, count, StoredChunk(row.request, *content)

    def journal(self, entry: JournalEntry) -> None:
        """Append to the journal."""
        with self._database.write() as connection:
            connection.execute(
                insert(JOURNAL).values(
                    at=self._clock(),
                    round_id=entry.round_id,
                    event=entry.event,
                    body=entry.body,
                    own_signature=entry.own_signature,
                    peer_signature=entry.peer_signature,
                )
            )

    def read_journal(self, round_id: RoundId) -> list[JournalEntry]:
        """Return a round's journal, oldest entry first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(JOURNAL).where(JOURNAL.c.round_id == round_id).order_by(JOURNAL.c.sequence)
            ).all()
        return [
            JournalEntry(RoundId(row.round_id), row.event, row.body, row.own_signature, row.peer_signature)
            for row in rows
        ]

    def store_answer(self, round_id: RoundId, index: int, chunk: StoredChunk) -> None:
        """Keep the answer to a chunk that was charged."""
        with self._database.write() as connection:
            connection.execute(
                update(CHUNKS)
                .where(
                    CHUNKS.c.round_id == round_id,
                    CHUNKS.c.chunk_index == index,
                    CHUNKS.c.request == chunk.request,
                )
                .values(evaluated=chunk.evaluated, proof=chunk.proof, blinded=chunk.blinded)
            )

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
        kind=Kind(row.kind),
        collection=row.collection,
        state=RoundState(row.state),
        code=row.code,
        created_at=row.created_at,
        closed_at=row.closed_at,
    )


def _signatures(row: Row[Any]) -> tuple[bytes, bytes]:
    return row.own_signature, row.peer_signature
