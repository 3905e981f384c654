"""Counts over the store, for status and metrics; they hold no indicator and no key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, func, select

from mandorla_protocol.epochs import LabId
from mandorla_protocol.header import RoundKind
from mandorla_protocol.indicators import REGISTRY
from mandorla_protocol.merkle import Frontier

from ..core.clock import Clock
from .database import Database
from .held_epoch import FlagState
from .indicators import Indicators, IndicatorSet
from .match_events import is_current
from .peers import Peer, Peers
from .question_backlog import count_untagged
from .schema import (
    ASKED_EPOCHS,
    COSIGNATURES,
    GROUP_MATCHES,
    HELD_EPOCHS,
    MATCHES,
    SIGHTINGS,
)
from .table_backlog import count_unpublished, flag_state


@dataclass(frozen=True, slots=True)
class HeldState:
    """A live key epoch that this lab holds for a peer. Counts are evaluations; `ends` is Unix seconds."""

    id: int
    collection: str
    number: int
    spent: int
    budget: int
    ends: int
    table_version: int
    table_entries: int


@dataclass(frozen=True, slots=True)
class PeerEpochState:
    """The newest key epoch of a peer as this lab knows it, and the verified part of its table."""

    id: int
    collection: str
    number: int
    table_version: int
    table_entries: int


@dataclass(frozen=True, slots=True)
class PeerState:
    """The store's counts for one pinned peer.

    `held` lists the live epochs, by collection and number; `peer_epochs` the newest one of each collection.
    `charged` counts all evaluations that the peer was ever charged, by collection; `matches` the current
    matches, by kind of round; `cosigned` the entries of this lab's log that the peer cosigned.
    """

    peer: Peer
    held: tuple[HeldState, ...]
    peer_epochs: tuple[PeerEpochState, ...]
    charged: Mapping[str, int]
    matches: Mapping[RoundKind, int]
    sightings: int
    cosigned: int

    @property
    def current(self) -> dict[str, HeldState]:
        """The newest live epoch of each collection."""
        return {held.collection: held for held in self.held}


@dataclass(frozen=True, slots=True)
class StoreState:
    """The state of every pinned peer, by name; and the bytes of the database and of its write-ahead log."""

    peers: tuple[PeerState, ...]
    main_bytes: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class Gap:
    """The indicators of a collection that this lab and a peer have not exchanged yet, in counts.

    `unpublished` counts flagged indicators that the table for the peer lacks, or has with an old label, or
    still has after their expiry. `uncompared` counts those of a set that were not compared with the peer's
    table.
    """

    peer: str
    collection: str
    unpublished: int
    uncompared: Mapping[IndicatorSet, int]


@dataclass(frozen=True, slots=True)
class Backlog:
    """The sizes of the sets by type, and the gap of each peer and collection, empty gaps included."""

    sizes: tuple[tuple[str, IndicatorSet, int], ...]
    gaps: tuple[Gap, ...]


class Overview:
    """Counts over the whole store. `backlog` reads every indicator, so it is slow: call it seldom."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._peers = Peers(database, clock)
        self._indicators = Indicators(database, clock)
        self._clock = clock

    def state(self) -> StoreState:
        """Return the state of each peer."""
        peers = self._peers.all()
        with self._database.read() as connection:
            held, peer_epochs = self._held_epochs(connection), _peer_epochs(connection)
            charged = _charged(connection)
            matches = _matches(connection, self._clock())
            sightings = _by_peer(connection, SIGHTINGS.c.peer, func.count())
            cosigned = _by_peer(connection, COSIGNATURES.c.peer, func.max(COSIGNATURES.c.size))
        states = tuple(
            PeerState(
                peer=peer,
                held=tuple(held[peer.lab]),
                peer_epochs=tuple(peer_epochs[peer.lab]),
                charged=charged[peer.lab],
                matches=matches[peer.lab],
                sightings=sightings.get(peer.lab, 0),
                cosigned=cosigned.get(peer.lab, 0),
            )
            for peer in peers
        )
        return StoreState(states, *self._database.sizes())

    def backlog(self) -> Backlog:
        """Count the sets, and the gaps between this lab and each peer."""
        peers = [peer for peer in self._peers.all() if not peer.caught]
        sizes = tuple(self._indicators.sizes())
        with self._database.read() as connection:
            collections = sorted({REGISTRY[name].collection.value for name, _, _ in sizes})
            held, peer_epochs = self._held_epochs(connection), _peer_epochs(connection)
            gaps = tuple(
                Gap(
                    peer.name,
                    collection,
                    self._unpublished(connection, _id_of(held[peer.lab], collection), collection),
                    {
                        source: _uncompared(
                            connection, _id_of(peer_epochs[peer.lab], collection), collection, source
                        )
                        for source in IndicatorSet
                    },
                )
                for peer in peers
                for collection in collections
            )
        return Backlog(sizes, gaps)

    def _held_epochs(self, connection: Connection) -> dict[LabId, list[HeldState]]:
        states: dict[LabId, list[HeldState]] = defaultdict(list)
        rows = connection.execute(
            select(HELD_EPOCHS)
            .where(HELD_EPOCHS.c.sealed_seed.is_not(None), HELD_EPOCHS.c.expires_at > self._clock())
            .order_by(HELD_EPOCHS.c.collection, HELD_EPOCHS.c.number)
        )
        for row in rows:
            states[LabId(row.querier)].append(
                HeldState(
                    row.id,
                    row.collection,
                    row.number,
                    row.spent,
                    row.budget,
                    row.expires_at,
                    row.table_version,
                    Frontier.decode(row.frontier).size,
                )
            )
        return states

    def _unpublished(self, connection: Connection, epoch_id: int, collection: str) -> int:
        """Count the entries of the version that would follow the published table, without padding."""
        columns = select(HELD_EPOCHS.c.covered_change, HELD_EPOCHS.c.covered_time)
        row = connection.execute(columns.where(HELD_EPOCHS.c.id == epoch_id)).one_or_none()
        covered = FlagState(*row) if row is not None else FlagState(0, 0)
        return count_unpublished(connection, covered, flag_state(connection, self._clock()), collection)


def _peer_epochs(connection: Connection) -> dict[LabId, list[PeerEpochState]]:
    newest: dict[tuple[LabId, str], PeerEpochState] = {}
    for row in connection.execute(select(ASKED_EPOCHS).order_by(ASKED_EPOCHS.c.number)):
        size = Frontier.decode(row.frontier).size
        newest[LabId(row.holder), row.collection] = PeerEpochState(
            row.id, row.collection, row.number, row.table_version, size
        )
    states: dict[LabId, list[PeerEpochState]] = defaultdict(list)
    for (lab, _), state in sorted(newest.items()):
        states[lab].append(state)
    return states


def _uncompared(connection: Connection, epoch_id: int, collection: str, source: IndicatorSet) -> int:
    """Count the indicators that a round would evaluate in the peer's newest epoch."""
    halves = connection.scalar(select(ASKED_EPOCHS.c.halves).where(ASKED_EPOCHS.c.id == epoch_id)) or 0
    uncompared, _ = count_untagged(connection, epoch_id, halves, collection, source)
    return uncompared


def _charged(connection: Connection) -> dict[LabId, dict[str, int]]:
    charged: dict[LabId, dict[str, int]] = defaultdict(dict)
    epochs = HELD_EPOCHS.c
    spent = select(epochs.querier, epochs.collection, func.sum(epochs.spent).label("spent"))
    for row in connection.execute(spent.group_by(epochs.querier, epochs.collection)):
        charged[LabId(row.querier)][row.collection] = int(row.spent)
    return charged


def _matches(connection: Connection, now: int) -> dict[LabId, dict[RoundKind, int]]:
    matches: dict[LabId, dict[RoundKind, int]] = defaultdict(lambda: dict.fromkeys(RoundKind, 0))
    for table in (MATCHES, GROUP_MATCHES):
        current = select(table.c.peer, table.c.kind, func.count().label("members")).where(
            is_current(table, now)
        )
        for row in connection.execute(current.group_by(table.c.peer, table.c.kind)):
            matches[LabId(row.peer)][RoundKind(row.kind)] += row.members
    return matches


def _by_peer(
    connection: Connection, peer: ColumnElement[bytes], value: ColumnElement[int]
) -> dict[LabId, int]:
    rows = connection.execute(select(peer.label("peer"), value.label("value")).group_by(peer))
    return {LabId(row.peer): int(row.value) for row in rows}


def _id_of(states: Iterable[HeldState] | Iterable[PeerEpochState], collection: str) -> int:
    """Return the id of the newest epoch of a collection; 0, which no epoch has, if there is none."""
    return max((state.id for state in states if state.collection == collection), default=0)


def _count(connection: Connection, statement: Select[int]) -> int:
    return int(connection.execute(statement).scalar_one())
