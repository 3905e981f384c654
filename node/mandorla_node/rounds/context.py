"""What every round of a node uses: made once, by the composition root, and never changed."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla_protocol.epochs import LabId
from mandorla_protocol.header import RoundHeader

from ..config.peer_settings import RoundSettings, WatchSettings
from ..core.change_feed import ChangeFeed
from ..core.clock import Clock, Timer
from ..crypto.workers import Workers
from ..peers.client import ClientFactory
from ..peers.policy import Policies
from ..peers.witness import Witness
from ..store import Peer, Store
from ..tables.builder import TableBuilder
from ..telemetry.metrics import Metrics, kind_label

Log = structlog.typing.FilteringBoundLogger


@dataclass(frozen=True, slots=True)
class RoundContext:
    """This lab's identity and settings, and the services of the node that a round uses."""

    lab: LabId
    identity: Ed25519PrivateKey
    settings: RoundSettings
    watch: WatchSettings
    store: Store
    workers: Workers
    tables: TableBuilder
    policies: Policies
    witness: Witness
    clients: ClientFactory
    changes: ChangeFeed
    metrics: Metrics
    clock: Clock
    timer: Timer


def log_names(header: RoundHeader, peer: Peer) -> dict[str, str]:
    """Return the names that each line of the log about a round carries."""
    return {
        "round": header.round_id.hex(),
        "peer": peer.name,
        "kind": kind_label(header.kind),
        "collection": header.collection,
    }


def round_log(header: RoundHeader, peer: Peer) -> Log:
    """Return a logger for one round."""
    log: Log = structlog.get_logger().bind(**log_names(header, peer))
    return log
