"""What this lab holds for its queriers: key epochs, their budgets, and their tag tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, NodeError, RoundError
from mandorla_protocol.header import RoundId
from mandorla_protocol.indicators import tokens_of
from mandorla_protocol.labels import TAG_SIZE, Label, Reason, Severity, Tag, Tlp
from mandorla_protocol.log.entries import ChunkCharged, KeyEpochBegun, KeyEpochEnded, TableVersionPublished
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session.closing import RoundState
from mandorla_protocol.sizes import BATCH_SMALLEST
from mandorla_protocol.table import Operation, TableCommitment, TablePart

from ..core.clock import Clock
from ..crypto.vault import Vault
from .database import Database
from .log import append
from .schema import CHUNKS, FLAGGED, HELD_EPOCHS, HELD_PAGES, INDICATORS, RESTORES, ROUNDS
from .table_pages import entries_from_leaf, insert_owned, read_parts
from .version_builder import OWNER_SIZE, OwnedPart, VersionBuilder

_INDICATOR = (INDICATORS.c.type, INDICATORS.c.profile, INDICATORS.c.value)
_LABEL = (
    FLAGGED.c.reason,
    FLAGGED.c.severity,
    FLAGGED.c.confidence,
    FLAGGED.c.first_seen,
    FLAGGED.c.expires,
    FLAGGED.c.tlp,
)


class FlagState(NamedTuple):
    """A state of the flagged set: the number of its last change, and the time at which labels expired."""

    change: int
    time: int


@dataclass(frozen=True, slots=True)
class HeldEpoch:
    """A key epoch that this lab holds. `spent` and `budget` count evaluations."""

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


class Additions(NamedTuple):
    """Flagged indicators that a table lacks or holds with an old label: ids, tokens, joined, and labels.

    `change` is the number of the last one's. A tuple of columns, because a table is made of millions.
    """

    change: int
    indicator_ids: list[int]
    tokens: bytes
    labels: list[Label]

    def __repr__(self) -> str:
        # Tokens are as good as indicators to whoever can guess.
        return f"Additions(indicators={len(self.indicator_ids)})"


class HolderStore:
    """Key epochs and tag tables, by querier and collection."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def current(self, holder: LabId, querier: LabId, collection: str) -> HeldEpoch | None:
        """Return the epoch that is in use now, if there is one."""
        with self._database.read() as connection:
            row = connection.execute(
                select(HELD_EPOCHS)
                .where(
                    HELD_EPOCHS.c.querier == querier,
                    HELD_EPOCHS.c.collection == collection,
                    HELD_EPOCHS.c.expires_at > self._clock(),
                    HELD_EPOCHS.c.sealed_seed.is_not(None),
                )
                .order_by(HELD_EPOCHS.c.number.desc())
                .limit(1)
            ).one_or_none()
        return None if row is None else _held_epoch(row, holder)

    def get(self, epoch: Epoch) -> HeldEpoch:
        """Return an epoch; raises RoundError(EPOCH_RETIRED) if it is over or unknown."""
        held = self.current(epoch.holder, epoch.querier, epoch.collection)
        if held is None or held.epoch != epoch:
            raise RoundError(Code.EPOCH_RETIRED)
        return held

    def create(self, epoch: Epoch, seed: bytes, public_key: bytes, budget: int, lifetime: int) -> HeldEpoch:
        """Begin an epoch, and destroy the seeds and tables of those before it."""
        now = self._clock()
        with self._database.write() as connection:
            earlier = select(HELD_EPOCHS.c.id).where(
                HELD_EPOCHS.c.querier == epoch.querier,
                HELD_EPOCHS.c.collection == epoch.collection,
                HELD_EPOCHS.c.number < epoch.number,
            )
            destroy_epochs(connection, epoch.holder, earlier, now)
            connection.execute(
                insert(HELD_EPOCHS).values(
                    querier=epoch.querier,
                    collection=epoch.collection,
                    number=epoch.number,
                    sealed_seed=self._vault.seal(seed),
                    budget=budget,
                    spent=0,
                    created_at=now,
                    expires_at=now + lifetime,
                    table_version=0,
                    frontier=Frontier().encode(),
                    covered_change=0,
                    covered_time=0,
                )
            )
            append(connection, KeyEpochBegun(epoch, public_key, budget, now + lifetime, now))
        return self.get(epoch)

    def next_number(self, querier: LabId, collection: str) -> int:
        """Return a number that no epoch had yet."""
        with self._database.read() as connection:
            last = connection.scalar(
                select(func.max(HELD_EPOCHS.c.number)).where(
                    HELD_EPOCHS.c.querier == querier, HELD_EPOCHS.c.collection == collection
                )
            )
            # What the store does not know of, because it was set back, is below this.
            beyond = connection.scalar(select(func.max(RESTORES.c.epochs_beyond)))
        return max(last or 0, beyond or 0) + 1

    def is_spent(self, held: HeldEpoch, shortest: int) -> bool:
        """Say whether no question fits the epoch's budget any more, and it has lasted `shortest` seconds."""
        return held.budget - held.spent < BATCH_SMALLEST and self._clock() >= held.created_at + shortest

    def seed(self, held: HeldEpoch) -> bytes:
        """Return the epoch's seed."""
        return self._vault.open(held.sealed_seed)

    def living_epochs(self, querier: LabId) -> list[tuple[str, int, int, int, int]]:
        """Return collection, epoch, evaluations spent, budget and table version of epochs that still live."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(HELD_EPOCHS)
                .where(HELD_EPOCHS.c.querier == querier, HELD_EPOCHS.c.sealed_seed.is_not(None))
                .order_by(HELD_EPOCHS.c.collection, HELD_EPOCHS.c.number)
            ).all()
        return [(row.collection, row.number, row.spent, row.budget, row.table_version) for row in rows]

    def charge(self, held: HeldEpoch, round_id: bytes, index: int, request: bytes, count: int) -> None:
        """Charge a chunk, durably, once for its round, index and request.

        Raises RoundError: CHUNK_REUSED for the index with another request, BUDGET_EXCEEDED, EPOCH_RETIRED,
        UNKNOWN_ROUND if the round has ended.
        """
        with self._database.write() as connection:
            known = connection.scalar(
                select(CHUNKS.c.request).where(CHUNKS.c.round_id == round_id, CHUNKS.c.chunk_index == index)
            )
            if known is not None:
                if known != request:
                    raise RoundError(Code.CHUNK_REUSED)
                return
            # The thread that charges may come after the one that ends the round, and the log has an order.
            state = connection.scalar(select(ROUNDS.c.state).where(ROUNDS.c.id == round_id))
            if state not in (None, RoundState.OPEN.value):
                raise RoundError(Code.UNKNOWN_ROUND, "the round has ended")
            row = connection.execute(
                select(HELD_EPOCHS.c.budget, HELD_EPOCHS.c.spent, HELD_EPOCHS.c.sealed_seed).where(
                    HELD_EPOCHS.c.id == held.id
                )
            ).one()
            if row.sealed_seed is None:
                raise RoundError(Code.EPOCH_RETIRED)
            if row.spent + count > row.budget:
                raise RoundError(Code.BUDGET_EXCEEDED)
            connection.execute(
                update(HELD_EPOCHS).where(HELD_EPOCHS.c.id == held.id).values(spent=row.spent + count)
            )
            connection.execute(
                insert(CHUNKS).values(round_id=round_id, chunk_index=index, request=request, count=count)
            )
            charged = ChunkCharged(RoundId(round_id), index, count, request, self._clock())
            append(connection, charged, round_id)

    # The tag table.

    def flag_state(self) -> FlagState:
        """Return the state of the flagged set now: a version shows one, whatever is flagged meanwhile."""
        with self._database.read() as connection:
            change = connection.scalar(select(func.coalesce(func.max(FLAGGED.c.change), 0)))
        return FlagState(int(change or 0), self._clock())

    def additions(
        self, held: HeldEpoch, until: FlagState, after: Additions | None, limit: int
    ) -> Additions | None:
        """Return flagged indicators that the table lacks in a state, or holds with an old label, in order."""
        last = (held.covered.change, 0) if after is None else (after.change, after.indicator_ids[-1])
        beyond = FLAGGED.c.change > last[0] if after is None else FLAGGED.c.change >= last[0]
        with self._database.read() as connection:
            rows = connection.execute(
                select(FLAGGED.c.change, FLAGGED.c.indicator_id, *_INDICATOR, *_LABEL)
                .join_from(FLAGGED, INDICATORS)
                .where(
                    # The first of these is what an index can look up, and the second what is meant.
                    beyond,
                    tuple_(FLAGGED.c.change, FLAGGED.c.indicator_id) > last,
                    FLAGGED.c.change <= until.change,
                    INDICATORS.c.collection == held.epoch.collection,
                    or_(FLAGGED.c.expires == 0, FLAGGED.c.expires > until.time),
                )
                .order_by(FLAGGED.c.change, FLAGGED.c.indicator_id)
                .limit(limit)
            ).all()
        if not rows:
            return None
        tokens = tokens_of(row[2:5] for row in rows)
        return Additions(rows[-1][0], [row[1] for row in rows], tokens, [_label(*row[5:]) for row in rows])

    def revocations(
        self, held: HeldEpoch, until: FlagState, after: int, limit: int
    ) -> tuple[list[int], bytes]:
        """Return indicators that the table holds and whose flag has expired: by id, and tokens, joined.

        One that was flagged again since, with a label that has expired too, may have been revoked before.
        """
        covered = held.covered
        was_there = or_(
            and_(FLAGGED.c.change <= covered.change, FLAGGED.c.expires > covered.time),
            and_(
                FLAGGED.c.change > covered.change,
                FLAGGED.c.change <= until.change,
                FLAGGED.c.first_change <= covered.change,
            ),
        )
        with self._database.read() as connection:
            rows = connection.execute(
                select(FLAGGED.c.indicator_id, *_INDICATOR)
                .join_from(FLAGGED, INDICATORS)
                .where(
                    FLAGGED.c.expires > 0,
                    FLAGGED.c.expires <= until.time,
                    was_there,
                    FLAGGED.c.indicator_id > after,
                    INDICATORS.c.collection == held.epoch.collection,
                )
                .order_by(FLAGGED.c.indicator_id)
                .limit(limit)
            ).all()
        return [row[0] for row in rows], tokens_of(row[1:] for row in rows)

    def build_version(self, held: HeldEpoch) -> VersionBuilder:
        """Begin the table's next version."""
        return VersionBuilder(self._database.folder, held.commitment.version + 1)

    def add_page(self, held: HeldEpoch, leaf: int, page: OwnedPart) -> None:
        """Keep a page of the version that is being prepared; it is in the table once that is published."""
        with self._database.write() as connection:
            insert_owned(connection, held.id, leaf, [page])

    def publish(
        self, held: HeldEpoch, frontier: Frontier, until: FlagState, last: Sequence[OwnedPart] = ()
    ) -> None:
        """Let the pages that were added, and the `last` ones, be the table's next version.

        It shows the flagged set as it was in a state. Raises RoundError(EPOCH_RETIRED), and
        NodeError(STORE_FAILED) if the pages are not those of the frontier, or another version was published
        since `held` was read.
        """
        version = held.commitment.version + 1
        with self._database.write() as connection:
            now = select(HELD_EPOCHS.c.sealed_seed, HELD_EPOCHS.c.table_version)
            row = connection.execute(now.where(HELD_EPOCHS.c.id == held.id)).one()
            if row.sealed_seed is None:
                raise RoundError(Code.EPOCH_RETIRED)
            insert_owned(connection, held.id, frontier.size - sum(len(page.part) for page in last), last)
            added = entries_from_leaf(connection, HELD_PAGES, held.id, held.frontier.size)
            if (row.table_version, added) != (held.commitment.version, frontier.size - held.frontier.size):
                raise NodeError(Code.STORE_FAILED, "a version was prepared beside another")
            connection.execute(
                update(HELD_EPOCHS)
                .where(HELD_EPOCHS.c.id == held.id)
                .values(
                    table_version=version,
                    frontier=frontier.encode(),
                    covered_change=until.change,
                    covered_time=until.time,
                )
            )
            append(
                connection,
                TableVersionPublished(held.epoch, version, frontier.size, frontier.root, self._clock()),
            )

    def record_coverage(self, held: HeldEpoch, until: FlagState) -> None:
        """Note that the table shows a state of the flagged set as it is: what changed belongs to others."""
        if until.change != held.covered.change:
            with self._database.write() as connection:
                connection.execute(
                    update(HELD_EPOCHS)
                    .where(HELD_EPOCHS.c.id == held.id)
                    .values(covered_change=until.change, covered_time=until.time)
                )

    def discard_unpublished(self, held: HeldEpoch) -> None:
        """Forget the pages of a version whose preparation did not end."""
        frontier = select(HELD_EPOCHS.c.frontier).where(HELD_EPOCHS.c.id == held.id)
        with self._database.read() as connection:
            # Not what `held` says, which may be older than what was published.
            size = Frontier.decode(connection.execute(frontier).scalar_one()).size
            unpublished = and_(HELD_PAGES.c.epoch_id == held.id, HELD_PAGES.c.leaf >= size)
            if not connection.scalar(select(exists().where(unpublished))):
                return
        with self._database.write() as connection:
            connection.execute(delete(HELD_PAGES).where(unpublished))

    def entries(self, held: HeldEpoch, start: int, limit: int) -> tuple[TablePart, ...]:
        """Return at most `limit` of the table's entries from a leaf index on."""
        with self._database.read() as connection:
            return read_parts(connection, HELD_PAGES, held.id, start, limit)

    def indicators_of_tags(self, held: HeldEpoch, tags: Sequence[Tag]) -> list[int]:
        """Return the ids of the indicators behind tags, of those that live in the table; reads all of it."""
        wanted = np.sort(np.frombuffer(b"".join(tags), f"S{TAG_SIZE}"))
        found: set[int] = set()
        if not len(wanted):
            return []
        pages = (
            select(HELD_PAGES.c.operations, HELD_PAGES.c.tags, HELD_PAGES.c.owners)
            .where(HELD_PAGES.c.epoch_id == held.id)
            .order_by(HELD_PAGES.c.leaf)
        )
        with self._database.read() as connection:
            for operations, column, owners in connection.execution_options(yield_per=1).execute(pages):
                places = np.nonzero(np.isin(np.frombuffer(column, wanted.dtype), wanted))[0]
                numbers = np.frombuffer(owners, f">u{OWNER_SIZE}")[places].tolist()
                for place, number in zip(places.tolist(), numbers, strict=True):
                    (found.add if operations[place] == Operation.ADD else found.discard)(number)
        return sorted(found - {0})

    def destroy_expired(self, holder: LabId) -> None:
        """Destroy the seeds and tables of this lab's epochs that are over."""
        now = self._clock()
        over = select(HELD_EPOCHS.c.id).where(HELD_EPOCHS.c.expires_at <= now)
        with self._database.write() as connection:
            destroy_epochs(connection, holder, over, now)


def destroy_epochs(connection: Connection, holder: LabId, over: Select[int], now: int) -> int:
    """Destroy the seeds and tables of epochs, as a part of the caller's transaction; count the seeds."""
    kept = and_(HELD_EPOCHS.c.id.in_(over), HELD_EPOCHS.c.sealed_seed.is_not(None))
    rows = connection.execute(select(HELD_EPOCHS).where(kept).order_by(HELD_EPOCHS.c.id)).all()
    for row in rows:
        epoch = Epoch(holder, LabId(row.querier), row.collection, row.number)
        append(connection, KeyEpochEnded(epoch, now))
    connection.execute(update(HELD_EPOCHS).where(kept).values(sealed_seed=None))
    connection.execute(delete(HELD_PAGES).where(HELD_PAGES.c.epoch_id.in_(over)))
    return len(rows)


def _held_epoch(row: Row[tuple[object, ...]], holder: LabId) -> HeldEpoch:
    frontier = Frontier.decode(row.frontier)
    return HeldEpoch(
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


# A lab says the same of many indicators.
@lru_cache(maxsize=4096)
def _label(reason: int, severity: int, confidence: int, first_seen: int, expires: int, tlp: int) -> Label:
    return Label(Reason(reason), Severity(severity), confidence, first_seen, expires, Tlp(tlp))
