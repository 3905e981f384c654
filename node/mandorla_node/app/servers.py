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
from ..peers.current_cards import CurrentCards
from ..peers.rate_limits import RateLimits
from ..rounds.service import ExchangeService
from ..store import Store
from ..telemetry.metrics import Metrics

_CertificatePairs: TypeAlias = list[tuple[bytes, bytes]]
"""Private keys and certificate chains, as PEM."""

_CREDENTIALS_MAX_AGE: Final = 0.05
"""Seconds for which handshakes use the pinned peers that an earlier handshake read.

Anybody can start a handshake, so without this limit strangers could make the node read its store without end.
"""

_OPERATOR_MESSAGE_SIZE: Final = 64 << 20


def peer_server(
    home: Home,
    store: Store,
    cards: CurrentCards,
    limits: RateLimits,
    metrics: Metrics,
    exchange: ExchangeService,
) -> grpc.aio.Server:
    """Create the server for peers: mutual TLS with the cards and peers of now, and admission of each call.

    Raises NodeError(BAD_CONFIG) if the server cannot listen on the configured address.
    """
    settings = home.settings.limits
    tls = _PeerTls(cards, store)
    server = grpc.aio.server(
        # There is no limit on the calls of all peers together: one peer could use it up alone.
        interceptors=[Admission(store, settings, limits, metrics)],
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_REQUEST),
            ("grpc.max_send_message_length", settings.message_size),
            ("grpc.max_metadata_size", 16 << 10),
            ("grpc.max_concurrent_streams", settings.streams),
            ("grpc.server_handshake_timeout_ms", settings.handshake_timeout * 1000),
            ("grpc.max_allowed_incoming_connections", settings.connections),
            ("grpc.max_connection_age_ms", settings.connection_age * 1000),
            ("grpc.max_connection_age_grace_ms", settings.call_timeout * 1000),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
    )
    try:
        server.add_secure_port(home.settings.listen, tls.server_credentials())
    except RuntimeError:
        raise NodeError(Code.BAD_CONFIG, f"cannot listen on {home.settings.listen}") from None
    exchange_pb2_grpc.add_ExchangeServicer_to_server(exchange, server)
    return server


class _PeerTls:
    """The TLS credentials of the server for peers, which change while it runs.

    A peer is pinned or removed, and a card is renewed, without a restart. So gRPC asks for the credentials at
    each handshake (`dynamic_ssl_server_credentials`).
    """

    def __init__(self, cards: CurrentCards, store: Store) -> None:
        self._cards = cards
        self._store = store
        self._presented = cards.presented()
        self._served = self._read()
        self._read_at = time.monotonic()

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that gRPC renews at each handshake."""
        # gRPC's types omit None, which means "no change" according to its documentation.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed_configuration)
        return grpc.dynamic_ssl_server_credentials(
            grpc.ssl_server_certificate_configuration(*self._served),
            fetch,
            require_client_authentication=True,
        )

    def _read(self) -> tuple[_CertificatePairs, bytes]:
        # The peer names a card in SNI (SPEC 9.10), and gRPC presents the certificate that has this name.
        presented = self._cards.presented()
        pinned = [
            certificates.pem_from_der(card.certificate)
            for peer in self._store.peers.all()
            for card in peer.cards
        ]
        # gRPC accepts no empty list, so the own certificate is in it before the first peer is pinned. It
        # admits nobody: admission finds no peer that has this certificate.
        roots = b"".join([presented[0].tls_certificate, *pinned])
        return [(own.tls_key, own.tls_certificate) for own in presented], roots

    def _changed_configuration(self) -> grpc.ServerCertificateConfiguration | None:
        # When gRPC gets new credentials, it frees the former ones although other handshakes may still use
        # them; sometimes this crashes the process. So it gets new credentials only when they differ.
        now, presented = time.monotonic(), self._cards.presented()
        # Peers know of a new card at once, so own cards, which cost no read of the store, have no such age.
        if now < self._read_at + _CREDENTIALS_MAX_AGE and presented == self._presented:
            return None
        self._read_at, self._presented = now, presented
        if (current := self._read()) == self._served:
            return None
        self._served = current
        return grpc.ssl_server_certificate_configuration(*current)


def operator_server(home: Home, operator: OperatorService, health: HealthService) -> grpc.aio.Server:
    """Create the server for the operator, on a Unix socket; raises NodeError: BAD_HOME if that fails."""
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
