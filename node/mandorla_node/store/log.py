"""This lab's log: its entries, the tree over them, and peers' cosignatures; and peers' checkpoints.

An entry is appended in the transaction of the change that it records: a crash cannot separate the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.header import RoundId
from mandorla_protocol.log.checkpoint import Checkpoint, LogKey
from mandorla_protocol.log.entries import LogEntry, PeerCaught, PeerCosigned, decode_entry
from mandorla_protocol.log.fraud import FraudProof
from mandorla_protocol.log.notes import Note
from mandorla_protocol.log.proofs import prove_consistency, root_of
from mandorla_protocol.log.witness import Conflict, Cosign, Fraud, Known, judge
from mandorla_protocol.merkle import hash_children, hash_leaf

from ..core.clock import Clock
from .database import Database
from .schema import CAUGHT, COSIGNATURES, LOG, LOG_NODES, PEER_CHECKPOINTS

_PAGE = 1_024


@dataclass(frozen=True, slots=True)
class SubmittedCheckpoint:
    """A checkpoint of a peer's log, its note, and the proof that it extends the first `old` entries."""

    log: LogKey
    checkpoint: Checkpoint
    note: bytes
    old: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CosignedCheckpoint:
    """A checkpoint of this lab's log that a peer cosigned."""

    size: int
    root: bytes
    cosigner: LogKey
    cosignature: bytes


def append(connection: Connection, entry: LogEntry, round_id: bytes = b"") -> None:
    """Append an entry within the caller's transaction."""
    encoded = entry.encode()
    position = _size(connection)
    connection.execute(insert(LOG).values(position=position, round_id=round_id, entry=encoded))
    node, level = hash_leaf(encoded), 0
    # A leaf completes a subtree for each trailing 1 bit of its position: store the hash of each.
    while True:
        connection.execute(insert(LOG_NODES).values(level=level, position=position, hash=node))
        if position % 2 == 0:
            return
        node = hash_children(_node(connection)(level, position - 1), node)
        position, level = position // 2, level + 1


class Log:
    """This lab's log, and the checkpoints of peers' logs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def append(self, entry: LogEntry, round_id: bytes = b"") -> None:
        """Append an entry in a transaction of its own."""
        with self._database.write() as connection:
            append(connection, entry, round_id)

    def head(self) -> tuple[int, bytes]:
        """Return the number of entries and the root over them."""
        with self._database.read() as connection:
            size = _size(connection)
            return size, root_of(0, size, _node(connection))

    def root_at(self, size: int) -> bytes:
        """Return the root over the first entries; raises NodeError(STORE_FAILED) if there are fewer."""
        with self._database.read() as connection:
            if size > _size(connection):
                raise NodeError(Code.STORE_FAILED, "the log has fewer entries")
            return root_of(0, size, _node(connection))

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Return the proof that the tree of `size` entries extends that of `old`."""
        with self._database.read() as connection:
            return prove_consistency(old, size, _node(connection))

    def entries(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield the round id and the encoding of each of the first entries; memory holds one page."""
        for start in range(0, size, _PAGE):
            with self._database.read() as connection:
                rows = connection.execute(
                    select(LOG.c.round_id, LOG.c.entry)
                    .where(LOG.c.position >= start, LOG.c.position < min(size, start + _PAGE))
                    .order_by(LOG.c.position)
                ).all()
            for row in rows:
                yield row.round_id, row.entry

    def entries_of_round(self, round_id: RoundId) -> list[LogEntry]:
        """Return the entries of a round, oldest first."""
        with self._database.read() as connection:
            found = select(LOG.c.entry).where(LOG.c.round_id == round_id).order_by(LOG.c.position)
            return [decode_entry(entry) for entry in connection.scalars(found)]

    # Peers' cosignatures on this log.

    def record_cosignature(self, witnessed: CosignedCheckpoint) -> None:
        """Store a peer's cosignature, which the caller has verified."""
        with self._database.write() as connection:
            stored = select(COSIGNATURES.c.size).where(
                COSIGNATURES.c.size == witnessed.size, COSIGNATURES.c.peer == witnessed.cosigner.lab
            )
            if connection.scalar(stored) is None:
                connection.execute(
                    insert(COSIGNATURES).values(
                        size=witnessed.size,
                        peer=witnessed.cosigner.lab,
                        root=witnessed.root,
                        origin=witnessed.cosigner.origin,
                        cosignature=witnessed.cosignature,
                    )
                )

    def is_cosigned(self, size: int, peer: LabId) -> bool:
        """Return whether a peer cosigned the checkpoint of a size."""
        stored = select(COSIGNATURES.c.size).where(COSIGNATURES.c.size == size, COSIGNATURES.c.peer == peer)
        with self._database.read() as connection:
            return connection.scalar(stored) is not None

    def cosigned_checkpoints(self, size: int) -> Iterator[CosignedCheckpoint]:
        """Yield the cosignatures on checkpoints of at most a size, smallest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(COSIGNATURES)
                .where(COSIGNATURES.c.size <= size)
                .order_by(COSIGNATURES.c.size, COSIGNATURES.c.peer)
            ).all()
        for row in rows:
            cosigner = LogKey(row.origin, LabId(row.peer))
            yield CosignedCheckpoint(row.size, row.root, cosigner, row.cosignature)

    # Checkpoints of peers' logs.

    def latest_note_of(self, peer: LabId) -> bytes:
        """Return the note of the largest checkpoint that this lab cosigned for a peer, empty for none."""
        with self._database.read() as connection:
            return connection.scalar(_latest(peer)) or b""

    def cosign(self, submitted: SubmittedCheckpoint, sign: Callable[[Checkpoint], bytes]) -> bytes:
        """Cosign a peer's checkpoint if it extends the latest one.

        The decision is durable before this returns. Returns the cosignature, empty if the proof does not
        start from the latest checkpoint.

        Raises CryptoError(BAD_CHECKPOINT) if the proof does not hold, and NodeError(EQUIVOCATION) if the
        peer has signed two checkpoints of the same size with different roots.
        """
        peer = submitted.log.lab
        with self._database.write() as connection:
            note: bytes | None = connection.scalar(_latest(peer))
            latest = None if note is None else _parse(note)

            def seen(size: int) -> bytes | None:
                at_size = select(PEER_CHECKPOINTS.c.root).where(
                    PEER_CHECKPOINTS.c.peer == peer, PEER_CHECKPOINTS.c.size == size
                )
                root: bytes | None = connection.scalar(at_size)
                return root

            judgement = judge(submitted.checkpoint, submitted.old, submitted.proof, latest, seen)
            match judgement:
                case Conflict():
                    return b""
                case Known():
                    return _cosignature(connection, peer, submitted.checkpoint.size)
                case Cosign():
                    cosignature = sign(submitted.checkpoint)
                    connection.execute(
                        insert(PEER_CHECKPOINTS).values(
                            peer=peer,
                            size=submitted.checkpoint.size,
                            root=submitted.checkpoint.root,
                            note=submitted.note,
                            cosignature=cosignature,
                        )
                    )
                    append(connection, PeerCosigned(peer, submitted.note, cosignature))
                    return cosignature
                case Fraud():
                    self._catch(connection, submitted)
        raise NodeError(Code.EQUIVOCATION)

    def fraud_proof(self, peer: LabId) -> FraudProof | None:
        """Return the proof that a peer forked its log, if it did."""
        with self._database.read() as connection:
            row = connection.execute(select(CAUGHT).where(CAUGHT.c.peer == peer)).one_or_none()
        return None if row is None else FraudProof(LogKey(row.origin, peer), row.one, row.other)

    def _catch(self, connection: Connection, submitted: SubmittedCheckpoint) -> None:
        peer = submitted.log.lab
        if connection.scalar(select(CAUGHT.c.peer).where(CAUGHT.c.peer == peer)) is not None:
            return
        cosigned_note = connection.scalar(
            select(PEER_CHECKPOINTS.c.note).where(
                PEER_CHECKPOINTS.c.peer == peer, PEER_CHECKPOINTS.c.size == submitted.checkpoint.size
            )
        )
        now = self._clock()
        connection.execute(
            insert(CAUGHT).values(
                peer=peer, origin=submitted.log.origin, one=cosigned_note, other=submitted.note, at=now
            )
        )
        append(connection, PeerCaught(peer, cosigned_note or b"", submitted.note, now))


def _size(connection: Connection) -> int:
    last = connection.scalar(select(func.max(LOG.c.position)))
    return 0 if last is None else int(last) + 1


def _node(connection: Connection) -> Callable[[int, int], bytes]:
    def node(level: int, position: int) -> bytes:
        found = connection.scalar(
            select(LOG_NODES.c.hash).where(LOG_NODES.c.level == level, LOG_NODES.c.position == position)
        )
        if found is None:
            raise NodeError(Code.STORE_FAILED, "the log's tree has a hole")
        return bytes(found)

    return node


def _latest(peer: LabId) -> Select[Any]:
    notes = select(PEER_CHECKPOINTS.c.note).where(PEER_CHECKPOINTS.c.peer == peer)
    return notes.order_by(PEER_CHECKPOINTS.c.size.desc()).limit(1)


def _cosignature(connection: Connection, peer: LabId, size: int) -> bytes:
    return bytes(
        connection.execute(
            select(PEER_CHECKPOINTS.c.cosignature).where(
                PEER_CHECKPOINTS.c.peer == peer, PEER_CHECKPOINTS.c.size == size
            )
        ).scalar_one()
    )


def _parse(note: bytes) -> Checkpoint:
    return Checkpoint.parse(Note.decode(note).text)
