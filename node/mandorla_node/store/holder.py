"""The key epochs that this lab holds for its queriers: their budgets, and their tag tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import and_, delete, exists, func, insert, select, update

from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, NodeError, RoundError
from mandorla_protocol.header import RoundId
from mandorla_protocol.labels import TAG_SIZE, Tag
from mandorla_protocol.log.entries import ChunkCharged, KeyEpochBegun, TableVersionPublished
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session.closing import RoundState
from mandorla_protocol.sizes import BATCH_SMALLEST
from mandorla_protocol.table import Operation, TablePart

from ..core.clock import Clock
from ..crypto.vault import Vault
from . import table_backlog
from .database import Database
from .held_epoch import FlagState, HeldEpoch, destroy_epochs
from .log import append
from .schema import CHUNKS, HELD_EPOCHS, HELD_PAGES, RESTORES, ROUNDS
from .table_backlog import Additions
from .table_pages import entries_from_leaf, insert_owned, read_parts
from .version_builder import OWNER_SIZE, OwnedPart, VersionBuilder


class HolderStore:
    """Key epochs and tag tables, by querier and collection."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def current(self, holder: LabId, querier: LabId, collection: str) -> HeldEpoch | None:
        """Return the current epoch of a querier and a collection, if there is one."""
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
        return None if row is None else HeldEpoch.from_row(row, holder)

    def get(self, epoch: Epoch) -> HeldEpoch:
        """Return an epoch; raises RoundError(EPOCH_RETIRED) if it has ended or is unknown."""
        held = self.current(epoch.holder, epoch.querier, epoch.collection)
        if held is None or held.epoch != epoch:
            raise RoundError(Code.EPOCH_RETIRED)
        return held

    def create(self, epoch: Epoch, seed: bytes, public_key: bytes, budget: int, lifetime: int) -> HeldEpoch:
        """Begin an epoch, and destroy the seeds and tables of the earlier ones."""
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
        """Return a number above that of every epoch there was."""
        with self._database.read() as connection:
            last = connection.scalar(
                select(func.max(HELD_EPOCHS.c.number)).where(
                    HELD_EPOCHS.c.querier == querier, HELD_EPOCHS.c.collection == collection
                )
            )
            # A restored store does not know the epochs since its backup; their numbers are below this one.
            beyond = connection.scalar(select(func.max(RESTORES.c.epochs_beyond)))
        return max(last or 0, beyond or 0) + 1

    def is_spent(self, held: HeldEpoch, shortest: int) -> bool:
        """Return whether the budget is spent, and the epoch has lasted `shortest` seconds or more."""
        return held.budget - held.spent < BATCH_SMALLEST and self._clock() >= held.created_at + shortest

    def seed(self, held: HeldEpoch) -> bytes:
        """Return the epoch's seed."""
        return self._vault.open(held.sealed_seed)

    def living_epochs(self, querier: LabId) -> list[tuple[str, int, int, int, int]]:
        """Return collection, number, evaluations spent, budget and table version of the live epochs."""
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
            charged = connection.scalar(
                select(CHUNKS.c.request).where(CHUNKS.c.round_id == round_id, CHUNKS.c.chunk_index == index)
            )
            if charged is not None:
                if charged != request:
                    raise RoundError(Code.CHUNK_REUSED)
                return
            # This thread may run after the one that ended the round; the log has no charge after the end.
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
        """Return the current state of the flagged set, which the next version of a table shows."""
        with self._database.read() as connection:
            return table_backlog.flag_state(connection, self._clock())

    def additions(
        self, held: HeldEpoch, until: FlagState, after: Additions | None, limit: int
    ) -> Additions | None:
        """Return the next page of entries that the table's next version adds; None after the last page."""
        with self._database.read() as connection:
            return table_backlog.read_additions(connection, held, until, after, limit)

    def revocations(
        self, held: HeldEpoch, until: FlagState, after: int, limit: int
    ) -> tuple[list[int], bytes]:
        """Return the next indicators, by id above `after`, that the table's next version revokes.

        They come as ids, and as joined tokens.
        """
        with self._database.read() as connection:
            return table_backlog.read_revocations(connection, held, until, after, limit)

    def build_version(self, held: HeldEpoch) -> VersionBuilder:
        """Return a builder of the table's next version."""
        return VersionBuilder(self._database.folder, held.commitment.version + 1)

    def add_page(self, held: HeldEpoch, leaf: int, page: OwnedPart) -> None:
        """Store a page of the version that is being prepared; `publish` makes it a part of the table."""
        with self._database.write() as connection:
            insert_owned(connection, held.id, leaf, [page])

    def publish(
        self, held: HeldEpoch, frontier: Frontier, until: FlagState, last: Sequence[OwnedPart] = ()
    ) -> None:
        """Publish the added pages, and the `last` ones, as the table's next version.

        `until` is the state of the flagged set that the version shows.

        Raises RoundError(EPOCH_RETIRED), and NodeError(STORE_FAILED) if the stored pages do not add up to the
        frontier, or another version was published since `held` was read.
        """
        version = held.commitment.version + 1
        with self._database.write() as connection:
            columns = select(HELD_EPOCHS.c.sealed_seed, HELD_EPOCHS.c.table_version)
            row = connection.execute(columns.where(HELD_EPOCHS.c.id == held.id)).one()
            if row.sealed_seed is None:
                raise RoundError(Code.EPOCH_RETIRED)
            insert_owned(connection, held.id, frontier.size - sum(len(page.part) for page in last), last)
            added = entries_from_leaf(connection, HELD_PAGES, held.id, held.frontier.size)
            if (row.table_version, added) != (held.commitment.version, frontier.size - held.frontier.size):
                raise NodeError(Code.STORE_FAILED, "two versions of a table were prepared at once")
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
        """Record that the table shows a state of the flagged set already: no change was in its collection."""
        if until.change != held.covered.change:
            with self._database.write() as connection:
                connection.execute(
                    update(HELD_EPOCHS)
                    .where(HELD_EPOCHS.c.id == held.id)
                    .values(covered_change=until.change, covered_time=until.time)
                )

    def discard_unpublished(self, held: HeldEpoch) -> None:
        """Delete the pages of a version whose preparation was interrupted."""
        frontier = select(HELD_EPOCHS.c.frontier).where(HELD_EPOCHS.c.id == held.id)
        with self._database.read() as connection:
            # `held` may be older than the last publication, so its frontier does not count.
            size = Frontier.decode(connection.execute(frontier).scalar_one()).size
            leftover = and_(HELD_PAGES.c.epoch_id == held.id, HELD_PAGES.c.leaf >= size)
            # A write waits its turn and syncs the disk; most calls find nothing to delete.
            if not connection.scalar(select(exists().where(leftover))):
                return
        with self._database.write() as connection:
            connection.execute(delete(HELD_PAGES).where(leftover))

    def entries(self, held: HeldEpoch, start: int, limit: int) -> tuple[TablePart, ...]:
        """Return at most `limit` of the table's entries from a leaf index on."""
        with self._database.read() as connection:
            return read_parts(connection, HELD_PAGES, held.id, start, limit)

    def indicators_of_tags(self, held: HeldEpoch, tags: Sequence[Tag]) -> list[int]:
        """Return the ids of the indicators whose tags are live in the table. Reads the whole table."""
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
                # Pages are in the order of their versions, so the last operation on a tag decides.
                places = np.nonzero(np.isin(np.frombuffer(column, wanted.dtype), wanted))[0]
                numbers = np.frombuffer(owners, f">u{OWNER_SIZE}")[places].tolist()
                for place, number in zip(places.tolist(), numbers, strict=True):
                    (found.add if operations[place] == Operation.ADD else found.discard)(number)
        return sorted(found - {0})

    def destroy_expired(self, holder: LabId) -> None:
        """Destroy the seeds and tables of this lab's expired epochs."""
        now = self._clock()
        expired = select(HELD_EPOCHS.c.id).where(HELD_EPOCHS.c.expires_at <= now)
        with self._database.write() as connection:
            destroy_epochs(connection, holder, expired, now)
