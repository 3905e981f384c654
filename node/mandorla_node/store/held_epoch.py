"""A key epoch that this lab holds for a querier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Row, Select, and_, delete, select, update

from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.log.entries import KeyEpochEnded
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import TableCommitment

from .log import append
from .schema import HELD_EPOCHS, HELD_PAGES


class FlagState(NamedTuple):
    """A state of the flagged set: the number of its last change, and the time at which labels expired."""

    change: int
    time: int


@dataclass(frozen=True, slots=True)
class HeldEpoch:
    """A key epoch that this lab holds. `spent` and `budget` count evaluations.

    `covered` is the state of the flagged set that the published table shows.
    """

    id: int
    epoch: Epoch
    sealed_seed: bytes
    budget: int
    spent: int
    created_at: int
    expires_at: int
    commitment: TableCommitment
    frontier: Frontier
    covered: FlagState

    @classmethod
    def from_row(cls, row: Row[tuple[object, ...]], holder: LabId) -> HeldEpoch:
        """Return the epoch of a row of `HELD_EPOCHS`."""
        frontier = Frontier.decode(row.frontier)
        return cls(
            id=row.id,
            epoch=Epoch(holder, LabId(row.querier), row.collection, row.number),
            sealed_seed=row.sealed_seed,
            budget=row.budget,
            spent=row.spent,
            created_at=row.created_at,
            expires_at=row.expires_at,
            commitment=TableCommitment(row.table_version, frontier.size, frontier.root),
            frontier=frontier,
            covered=FlagState(row.covered_change, row.covered_time),
        )


def destroy_epochs(connection: Connection, holder: LabId, epoch_ids: Select[int], now: int) -> int:
    """Destroy the seeds and tables of epochs within the caller's transaction; return the number of seeds."""
    kept = and_(HELD_EPOCHS.c.id.in_(epoch_ids), HELD_EPOCHS.c.sealed_seed.is_not(None))
    rows = connection.execute(select(HELD_EPOCHS).where(kept).order_by(HELD_EPOCHS.c.id)).all()
    for row in rows:
        epoch = Epoch(holder, LabId(row.querier), row.collection, row.number)
        append(connection, KeyEpochEnded(epoch, now))
    connection.execute(update(HELD_EPOCHS).where(kept).values(sealed_seed=None))
    connection.execute(delete(HELD_PAGES).where(HELD_PAGES.c.epoch_id.in_(epoch_ids)))
    return len(rows)
