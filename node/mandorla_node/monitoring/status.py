"""The message that `mandorla status` shows, for a running node or for the store of a stopped one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Final

from mandorla.v1 import operator_pb2
from mandorla_protocol.card import Card
from mandorla_protocol.header import RoundKind

from ..crypto import certificates
from ..home.folder import HomeFolder
from ..store import Backlog, IndicatorSet, RoundRecord, Store, StoreState

SET_VALUES: Final = {
    IndicatorSet.FLAGGED: operator_pb2.SET_FLAGGED,
    IndicatorSet.OBSERVED: operator_pb2.SET_OBSERVED,
}
KIND_VALUES: Final = {RoundKind.SHARED: operator_pb2.KIND_SHARED, RoundKind.WATCH: operator_pb2.KIND_WATCH}

STOPPED: Final = "stopped"
"""The health that status shows for a node that does not run."""

_RECENT_ROUNDS: Final = 20


def status_of_store(place: HomeFolder) -> operator_pb2.StatusResponse:
    """Return the status of a node that does not run, from its store; raises NodeError."""
    with closing(place.open_store()) as store:
        overview = store.overview
        status = store_status(place.read_card(), overview.state(), overview.backlog(), recent_rounds(store))
    status.key_source, status.health, status.counted_before = place.key_source.kind.value, STOPPED, 0.0
    return status


def recent_rounds(store: Store) -> list[RoundRecord]:
    """Return the rounds that status shows."""
    return store.rounds.recent(_RECENT_ROUNDS)


def store_status(
    card: Card, state: StoreState, backlog: Backlog | None, rounds: Iterable[RoundRecord]
) -> operator_pb2.StatusResponse:
    """Return the part of a status that comes from the store; a running node adds the rest."""
    names = {peer_state.peer.lab: peer_state.peer.name for peer_state in state.peers}
    return operator_pb2.StatusResponse(
        lab=card.name,
        endpoint=card.endpoint,
        card_issued=card.issued,
        card_expires=certificates.expires_at(card),
        sets=[
            operator_pb2.SetSize(type=name, set=SET_VALUES[target], count=count)
            for name, target, count in (backlog.sizes if backlog else ())
        ],
        gaps=[
            operator_pb2.Gap(
                peer=gap.peer,
                collection=gap.collection,
                unpublished=gap.unpublished,
                uncompared_flagged=gap.uncompared[IndicatorSet.FLAGGED],
                uncompared_observed=gap.uncompared[IndicatorSet.OBSERVED],
            )
            for gap in (backlog.gaps if backlog else ())
            if gap.unpublished or any(gap.uncompared.values())
        ],
        peers=[
            operator_pb2.PeerStatus(
                name=peer_state.peer.name,
                endpoint=peer_state.peer.card.endpoint,
                last_contact=peer_state.peer.last_contact,
                matches=sum(peer_state.matches.values()),
                sightings=peer_state.sightings,
                cosigned=peer_state.cosigned,
                caught=peer_state.peer.caught,
                paused_at=peer_state.peer.paused_at,
                card_expires=certificates.expires_at(peer_state.peer.card),
                budgets=[
                    operator_pb2.BudgetStatus(
                        collection=epoch.collection,
                        epoch=epoch.number,
                        spent=epoch.spent,
                        budget=epoch.budget,
                        table_version=epoch.table_version,
                        table_entries=epoch.table_entries,
                        ends=epoch.ends,
                    )
                    for epoch in peer_state.held
                ],
                tables=[
                    operator_pb2.PeerTable(
                        collection=peer_epoch.collection,
                        epoch=peer_epoch.number,
                        version=peer_epoch.table_version,
                        entries=peer_epoch.table_entries,
                    )
                    for peer_epoch in peer_state.peer_epochs
                ],
            )
            for peer_state in state.peers
        ],
        rounds=[
            operator_pb2.RoundStatus(
                round_id=record.round_id,
                peer=names.get(record.peer, record.peer.hex()[:16]),
                kind=KIND_VALUES[record.kind],
                collection=record.collection,
                state=record.state.value,
                code=record.code,
                created=record.created_at,
                closed=record.closed_at,
            )
            for record in rounds
        ],
        load=operator_pb2.Load(store_bytes=state.main_bytes, wal_bytes=state.wal_bytes),
    )
