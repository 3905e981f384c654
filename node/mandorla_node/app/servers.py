"""The two gRPC servers of a node: one for peers, one for the operator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import grpc
from grpc_health.v1 import health_pb2_grpc

from mandorla.v1 import exchange_pb2_grpc, operator_pb2_grpc
from mandorla_protocol.errors import Code, NodeError

from ..crypto import certificates
from ..home.folder import Home
from ..monitoring.health import HealthService
from ..operator.service import OperatorService
from ..peers.admission import MAX_REQUEST, Admission
from ..peers.card_renewal import OwnCards
from ..peers.rate_limits import PeerLimits
from ..rounds.service import ExchangeService
from ..store import Store
from ..telemetry.metrics import Metrics

_CertificatePairs: TypeAlias = list[tuple[bytes, bytes]]
"""Keys and certificates, as PEM."""

_LOOK_AT_PEERS_EVERY: Final = 0.05
"""Seconds for which a handshake takes the pinned peers of the last one.

Anybody who connects causes a look.
"""

_OPERATOR_MESSAGE_SIZE: Final = 64 << 20


def peer_server(
    home: Home,
    store: Store,
    own: OwnCards,
    peer_limits: PeerLimits,
    metrics: Metrics,
    exchange: ExchangeService,
) -> grpc.aio.Server:
    """Make the server for peers: TLS with the certificates that are pinned now, and one admission for all."""
    limits = home.settings.limits

    def current() -> tuple[_CertificatePairs, bytes]:
        # gRPC shows a peer the certificate of the name that the peer asks for.
        live = own.live()
        cards = (card for peer in store.peers.all() for card in peer.cards)
        pinned = [certificates.pem_from_der(card.certificate) for card in cards]
        # The own certificate keeps the list from being empty before the first peer is pinned. It admits
        # nobody, since admission looks for a peer of this certificate.
        roots = b"".join([live[0].tls_certificate, *pinned])
        return [(one.tls_key, one.tls_certificate) for one in live], roots

    served, looked_at = current(), time.monotonic()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # gRPC calls this at each handshake, and frees the former credentials while other handshakes still use
        # them, which now and then kills the process. So it gets new credentials only when they differ.
        nonlocal served, looked_at
        if (moment := time.monotonic()) < looked_at + _LOOK_AT_PEERS_EVERY:
            return None
        looked_at = moment
        if (now := current()) == served:
            return None
        served = now
        return grpc.ssl_server_certificate_configuration(*served)

    server = grpc.aio.server(
        # No limit on the calls of all peers together: a peer that reached it would shut the others out.
        interceptors=[Admission(store, limits, peer_limits, metrics)],
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_REQUEST),
            ("grpc.max_send_message_length", limits.message_size),
            ("grpc.max_metadata_size", 16 << 10),
            ("grpc.max_concurrent_streams", limits.streams),
            ("grpc.server_handshake_timeout_ms", limits.handshake_timeout * 1000),
            ("grpc.max_allowed_incoming_connections", limits.connections),
            ("grpc.max_connection_age_ms", limits.connection_age * 1000),
            ("grpc.max_connection_age_grace_ms", limits.call_timeout * 1000),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
    )
    # gRPC's types do not know that None says "nothing new", which its documentation does.
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", changed)
    credentials = grpc.dynamic_ssl_server_credentials(
        grpc.ssl_server_certificate_configuration(*served), fetch, require_client_authentication=True
    )
    try:
        server.add_secure_port(home.settings.listen, credentials)
    except RuntimeError:
        raise NodeError(Code.BAD_CONFIG, f"cannot listen on {home.settings.listen}") from None
    exchange_pb2_grpc.add_ExchangeServicer_to_server(exchange, server)
    return server


def operator_server(home: Home, operator: OperatorService, health: HealthService) -> grpc.aio.Server:
    """Make the server for the operator, on a socket that only its owner opens."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _OPERATOR_MESSAGE_SIZE)])
    operator_pb2_grpc.add_OperatorServicer_to_server(operator, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    path = home.operator_socket
    path.unlink(missing_ok=True)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError:
        raise NodeError(Code.BAD_HOME, f"cannot listen on {path}") from None
    return server
