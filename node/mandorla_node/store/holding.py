"""What this lab holds for its queriers: key epochs, their budgets, and their tag tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, literal, or_, select, update

from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import RoundId
from mandorla_protocol.indicators import Token, token_of
from mandorla_protocol.labels import Label, Reason, Severity, Tag, Tlp
from mandorla_protocol.log.entries import ChunkCharged, KeyEpochBegun, KeyEpochEnded, TableVersionPublished
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import Operation, TableCommitment, TableEntry

from ..clock import Clock
from ..vault import Vault
from .bulk import insert_rows
from .database import Database
from .log import append
from .rounds import RoundState
from .schema import CHUNKS, FLAGGED, HELD_ENTRIES, HELD_EPOCHS, HELD_LIVE, HELD_STAGING, INDICATORS, ROUNDS

_INDICATOR = (INDICATORS.c.type, INDICATORS.c.profile, INDICATORS.c.value)
_LABEL = (
    FLAGGED.c.reason,
    FLAGGED.c.severity,
    FLAGGED.c.confidence,
    FLAGGED.c.first_seen,
    FLAGGED.c.expires,
    FLAGGED.c.tlp,
)
_OPERATIONS = {int(operation): operation for operation in Operation}


@dataclass(frozen=True, slots=True)
class HeldEpoch:
    """A key epoch that this lab holds. `spent` and `budget` count evaluations."""

    id: int
    epoch: Epoch
    sealed_seed: bytes
    budget: int
    spent: int
    expires_at: int
    commitment: TableCommitment
    frontier: Frontier


class Addition(NamedTuple):
    """A flagged indicator, by its token, that the table lacks or holds with an old label.

    A tuple, like the next: a table is made of millions.
    """

    indicator_id: int
    revision: int
    token: Token
    label: Label

    def __repr__(self) -> str:
        # A token is as good as its indicator to whoever can guess.
        return f"Addition(indicator_id={self.indicator_id})"


class StagedEntry(NamedTuple):
    """An entry of the version that is being prepared; padding has no indicator."""

    tag: Tag
    operation: int
    sealed: bytes
    indicator_id: int | None = None
    revision: int | None = None


class Holding:
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
            self._destroy(connection, epoch.holder, earlier)
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
        return 1 if last is None else int(last) + 1

    def seed(self, held: HeldEpoch) -> bytes:
        """Return the epoch's seed."""
        return self._vault.open(held.sealed_seed)

    def budgets(self, querier: LabId) -> list[tuple[str, int, int, int]]:
        """Return collection, epoch number, evaluations spent and budget, for epochs that still live."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(HELD_EPOCHS)
                .where(HELD_EPOCHS.c.querier == querier, HELD_EPOCHS.c.sealed_seed.is_not(None))
                .order_by(HELD_EPOCHS.c.collection, HELD_EPOCHS.c.number)
            ).all()
        return [(row.collection, row.number, row.spent, row.budget) for row in rows]

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

    def additions(self, held: HeldEpoch, after: int, limit: int) -> list[Addition]:
        """Return flagged indicators that the table lacks or holds with an old label, by id."""
        current = and_(HELD_LIVE.c.epoch_id == held.id, HELD_LIVE.c.indicator_id == FLAGGED.c.indicator_id)
        with self._database.read() as connection:
            rows = connection.execute(
                select(FLAGGED.c.indicator_id, FLAGGED.c.revision, *_INDICATOR, *_LABEL)
                .join_from(FLAGGED, INDICATORS)
                .outerjoin(HELD_LIVE, current)
                .where(
                    FLAGGED.c.indicator_id > after,
                    INDICATORS.c.collection == held.epoch.collection,
                    or_(FLAGGED.c.expires == 0, FLAGGED.c.expires > self._clock()),
                    or_(HELD_LIVE.c.revision.is_(None), HELD_LIVE.c.revision < FLAGGED.c.revision),
                )
                .order_by(FLAGGED.c.indicator_id)
                .limit(limit)
            ).all()
        return [
            Addition(number, revision, token_of(kind, profile, value), _label(*said))
            for number, revision, kind, profile, value, *said in rows
        ]

    def stage(self, held: HeldEpoch, entries: Sequence[StagedEntry]) -> None:
        """Keep entries for the version that is being prepared."""
        with self._database.write() as connection:
            insert_rows(
                connection,
                HELD_STAGING,
                ("epoch_id", *StagedEntry._fields),
                [(held.id, *entry) for entry in entries],
            )

    def stage_revocations(self, held: HeldEpoch) -> int:
        """Stage a revocation of every tag whose flag expired; return the number of entries staged by now."""
        flag = and_(
            FLAGGED.c.indicator_id == HELD_LIVE.c.indicator_id,
            or_(FLAGGED.c.expires == 0, FLAGGED.c.expires > self._clock()),
        )
        with self._database.write() as connection:
            connection.execute(
                insert(HELD_STAGING).from_select(
                    ["epoch_id", "tag", "operation", "sealed", "indicator_id"],
                    select(
                        HELD_LIVE.c.epoch_id,
                        HELD_LIVE.c.tag,
                        literal(int(Operation.REVOKE)),
                        literal(b""),
                        HELD_LIVE.c.indicator_id,
                    )
                    .outerjoin(FLAGGED, flag)
                    .where(HELD_LIVE.c.epoch_id == held.id, FLAGGED.c.indicator_id.is_(None)),
                )
            )
            staged = connection.scalar(
                select(func.count()).select_from(HELD_STAGING).where(HELD_STAGING.c.epoch_id == held.id)
            )
        return int(staged or 0)

    def staged(self, held: HeldEpoch, page: int) -> Iterator[list[TableEntry]]:
        """Yield the staged entries in the order of their tags, as the entries of the next version."""
        version = held.commitment.version + 1
        after = b""
        while True:
            with self._database.read() as connection:
                rows = connection.execute(
                    select(HELD_STAGING.c.tag, HELD_STAGING.c.operation, HELD_STAGING.c.sealed)
                    .where(HELD_STAGING.c.epoch_id == held.id, HELD_STAGING.c.tag > after)
                    .order_by(HELD_STAGING.c.tag)
                    .limit(page)
                ).all()
            if not rows:
                return
            after = rows[-1].tag
            yield [TableEntry(version, _OPERATIONS[what], tag, sealed) for tag, what, sealed in rows]

    def publish(self, held: HeldEpoch, frontier: Frontier) -> None:
        """Append the staged entries as the table's next version; raises RoundError(EPOCH_RETIRED)."""
        version = held.commitment.version + 1
        mine = HELD_STAGING.c.epoch_id == held.id
        leaf = held.frontier.size - 1 + func.row_number().over(order_by=HELD_STAGING.c.tag)
        with self._database.write() as connection:
            seed = select(HELD_EPOCHS.c.sealed_seed).where(HELD_EPOCHS.c.id == held.id)
            if connection.scalar(seed) is None:
                raise RoundError(Code.EPOCH_RETIRED)
            connection.execute(
                insert(HELD_ENTRIES).from_select(
                    ["epoch_id", "leaf", "version", "operation", "tag", "sealed"],
                    select(
                        HELD_STAGING.c.epoch_id,
                        leaf,
                        literal(version),
                        HELD_STAGING.c.operation,
                        HELD_STAGING.c.tag,
                        HELD_STAGING.c.sealed,
                    ).where(mine),
                )
            )
            # What was staged replaces what lived: a revocation leaves nothing, a new label a new revision.
            connection.execute(
                delete(HELD_LIVE).where(
                    HELD_LIVE.c.epoch_id == held.id,
                    HELD_LIVE.c.tag.in_(select(HELD_STAGING.c.tag).where(mine)),
                )
            )
            connection.execute(
                insert(HELD_LIVE).from_select(
                    ["epoch_id", "indicator_id", "tag", "revision"],
                    select(
                        HELD_STAGING.c.epoch_id,
                        HELD_STAGING.c.indicator_id,
                        HELD_STAGING.c.tag,
                        HELD_STAGING.c.revision,
                    ).where(mine, HELD_STAGING.c.revision.is_not(None)),
                )
            )
            connection.execute(
                update(HELD_EPOCHS)
                .where(HELD_EPOCHS.c.id == held.id)
                .values(table_version=version, frontier=frontier.encode())
            )
            connection.execute(delete(HELD_STAGING).where(mine))
            append(
                connection,
                TableVersionPublished(held.epoch, version, frontier.size, frontier.root, self._clock()),
            )

    def discard_staged(self, held: HeldEpoch) -> None:
        """Forget a version whose preparation did not end."""
        with self._database.write() as connection:
            connection.execute(delete(HELD_STAGING).where(HELD_STAGING.c.epoch_id == held.id))

    def entries(self, held: HeldEpoch, start: int, limit: int) -> list[TableEntry]:
        """Return the table's entries from a leaf index on."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(
                    HELD_ENTRIES.c.version,
                    HELD_ENTRIES.c.operation,
                    HELD_ENTRIES.c.tag,
                    HELD_ENTRIES.c.sealed,
                )
                .where(
                    HELD_ENTRIES.c.epoch_id == held.id,
                    HELD_ENTRIES.c.leaf >= start,
                    HELD_ENTRIES.c.leaf < start + limit,
                )
                .order_by(HELD_ENTRIES.c.leaf)
            ).all()
        return [TableEntry(version, _OPERATIONS[what], tag, sealed) for version, what, tag, sealed in rows]

    def indicators_behind(self, held: HeldEpoch, tags: Sequence[bytes]) -> list[int]:
        """Return the ids of the indicators behind tags that live in the table."""
        with self._database.read() as connection:
            return list(
                connection.scalars(
                    select(HELD_LIVE.c.indicator_id).where(
                        HELD_LIVE.c.epoch_id == held.id, HELD_LIVE.c.tag.in_(tags)
                    )
                )
            )

    def destroy_expired(self, holder: LabId) -> None:
        """Destroy the seeds and tables of this lab's epochs that are over."""
        over = select(HELD_EPOCHS.c.id).where(HELD_EPOCHS.c.expires_at <= self._clock())
        with self._database.write() as connection:
            self._destroy(connection, holder, over)

    def _destroy(self, connection: Connection, holder: LabId, over: Select[tuple[int]]) -> None:
        kept = and_(HELD_EPOCHS.c.id.in_(over), HELD_EPOCHS.c.sealed_seed.is_not(None))
        now = self._clock()
        for row in connection.execute(select(HELD_EPOCHS).where(kept).order_by(HELD_EPOCHS.c.id)).all():
            epoch = Epoch(holder, LabId(row.querier), row.collection, row.number)
            append(connection, KeyEpochEnded(epoch, now))
        connection.execute(update(HELD_EPOCHS).where(kept).values(sealed_seed=None))
        for table in (HELD_ENTRIES, HELD_STAGING, HELD_LIVE):
            connection.execute(delete(table).where(table.c.epoch_id.in_(over)))


def _held_epoch(row: Row[tuple[object, ...]], holder: LabId) -> HeldEpoch:
    frontier = Frontier.decode(row.frontier)
    return HeldEpoch(
        id=row.id,
        epoch=Epoch(holder, LabId(row.querier), row.collection, row.number),
        sealed_seed=row.sealed_seed,
        budget=row.budget,
        spent=row.spent,
        expires_at=row.expires_at,
        commitment=TableCommitment(row.table_version, frontier.size, frontier.root),
        frontier=frontier,
    )


# A lab says the same of many indicators.
@lru_cache(maxsize=4096)
def _label(reason: int, severity: int, confidence: int, first_seen: int, expires: int, tlp: int) -> Label:
    return Label(Reason(reason), Severity(severity), confidence, first_seen, expires, Tlp(tlp))
