"""A running node: two gRPC servers, one for peers and one for the operator, around one store."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias, cast

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc

from mandorla.v1 import exchange_pb2_grpc, operator_pb2_grpc
from mandorla_protocol.card import Card
from mandorla_protocol.errors import Code, NodeError

from ..core.change_feed import ChangeFeed
from ..core.clock import Clock, Timer, machine_timer, system_clock
from ..crypto import certificates
from ..crypto.workers import Workers
from ..home.folder import Home
from ..home.liveness import node_answers
from ..home.own_cards import OwnCard
from ..monitoring.health import Health, HealthService, Pulse
from ..monitoring.view import NodeView
from ..notices.notifier import Notifier
from ..operator.checks import Checker
from ..operator.service import OperatorService
from ..operator.sweeper import Sweeper
from ..peers.admission import MAX_REQUEST, Admission
from ..peers.card_renewal import CardRenewal, OwnCards
from ..peers.client import PeerClient
from ..peers.policy import Policies
from ..peers.rate_limits import PeerLimits
from ..peers.witness import Witness
from ..rounds.initiator import Initiator
from ..rounds.registry import RoundRegistry
from ..rounds.responder import Responder
from ..rounds.service import ExchangeService
from ..rounds.watch_progress import WatchProgress
from ..rounds.watcher import Watcher
from ..store import Store
from ..tables.builder import TableBuilder
from ..tables.preparer import TablePreparer
from ..telemetry.logs import configure_logs
from ..telemetry.metrics import Metrics
from .service_manager import supervised

_LOG = structlog.get_logger()

Pairs: TypeAlias = list[tuple[bytes, bytes]]
"""Keys and certificates, as PEM."""

_COLLECT_EVERY = 25_000
"""Objects after which garbage is looked for: calls leave some in cycles, and checks wait meanwhile."""
_TURN = 0.001
"""Seconds that a thread keeps the interpreter's lock while another wants it."""
_GRACE = 5.0
_LEAVE = 5.0
_STOPPED_WITHIN = 30.0
"""Seconds after which a node that was asked to stop ends, whatever it still does: it loses no more by that
than by a crash, which is nothing."""
_LOOK_AT_PEERS_EVERY = 0.05
"""Seconds for which a handshake finds the peers of the last one: whoever can connect can have us look."""
_THREADS = 18
"""As many as the store has connections."""
_OPERATOR_MESSAGE_SIZE = 64 << 20


async def serve(home: Home, stop: asyncio.Event | None = None) -> None:
    """Run the node until SIGTERM, SIGINT or `stop`.

    Raises NodeError: BAD_HOME if another node serves this home, BAD_CONFIG if the address cannot be used.
    """
    configure_logs(home.settings.log_level, home.settings.log_format)
    # What is loaded by now stays; and thousands of rows, which hold no cycles, are no reason to look for any.
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    # A check waits for the interpreter's lock whenever another thread works in Python.
    sys.setswitchinterval(_TURN)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    # Python's own number can be six, and a peer's rounds can be busy in four threads for minutes.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="node"))
    _allow_files()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with supervised() as supervisor, running(home, ahead=True, watch=home.settings.watch.enabled):
        supervisor.ready()
        await stop.wait()
        supervisor.stopping()
        _end_in_time()


@dataclass(frozen=True)
class RunningNode:
    """What there is of a node for whoever runs it: signals, counts, and how far its watch is."""

    changes: ChangeFeed
    metrics: Metrics
    keeping_up: WatchProgress


@asynccontextmanager
async def running(
    home: Home,
    clock: Clock = system_clock,
    ahead: bool = False,
    watch: bool = False,
    timer: Timer = machine_timer,
) -> AsyncIterator[RunningNode]:
    """Keep a node running for as long as the context is open.

    A simulation brings its own clock and timer. `ahead` lets the node prepare tables before they are asked
    for, by the clock of this machine, and `watch` lets it keep standing rounds with its peers.
    """
    settings = home.settings
    _refuse_second_node(home)
    async with contextlib.AsyncExitStack() as stack:
        store = home.open_store(clock, alone=True)
        stack.callback(store.close)
        metrics = Metrics(clock)
        pulse = Pulse(store, metrics)
        store.observe_writes(pulse)
        pool = Workers(settings.engine, settings.workers)
        stack.callback(pool.close)
        store.rounds.interrupt_open()
        cards = OwnCards(home.cards, settings.keys.overlap, clock)

        def client(card: Card, own: OwnCard | None = None) -> PeerClient:
            return PeerClient(card, own or cards.known_to(card.identity), settings.limits, metrics)

        renewal = CardRenewal(home, store, cards, client, clock)
        stack.push_async_callback(_stopped, asyncio.create_task(renewal.run()))

        tables = TableBuilder(
            home.card.identity, store, pool, Policies(settings.rounds, settings.peers, store)
        )
        stack.push_async_callback(tables.settled)
        if ahead and (every := settings.rounds.prepare_every):
            _beside(stack, TablePreparer(store, tables, every, metrics).run())
        witness = Witness(home, store, clock)
        changes = ChangeFeed()
        rounds = RoundRegistry(
            home, store, pool, witness, client, tables, changes, clock, renewal, metrics, timer
        )
        view = NodeView(home, store, rounds, renewal, metrics, pulse, pool.engine.name, clock())
        await stack.enter_async_context(view)
        peer_limits = PeerLimits(settings.limits, pool.count)
        initiator, responder = Initiator(rounds, tables), Responder(rounds, tables, peer_limits)
        peers = _peer_server(home, store, cards, peer_limits, metrics)
        exchange_pb2_grpc.add_ExchangeServicer_to_server(
            ExchangeService(rounds, responder, witness, peer_limits, clock, renewal), peers
        )
        checking = Checker(store, rounds, changes, settings.action, clock)
        stack.push_async_callback(checking.note)
        stack.push_async_callback(_stopped, asyncio.create_task(checking.run()))
        _beside(stack, Sweeper(store, home.card.identity, settings, checking, changes, clock).run())
        notifying = Notifier(home, store, changes, clock)
        stack.push_async_callback(_stopped, asyncio.create_task(notifying.run()))
        beside = (checking, changes, notifying, renewal, view, metrics)
        service = OperatorService(home, store, rounds, initiator, *beside)
        await _start(stack, home, peers, _operator_server(home, service, HealthService(pulse)))
        # Called in the opposite order: the peers hear of the end before anything is gone.
        for end in (service.leave, rounds.settled, responder.stop, rounds.abort_all):
            stack.push_async_callback(end)
        if watch:
            _keep_watch(stack, rounds, Watcher(rounds, initiator, settings.watch))
        pulse.set(Health.SERVING)
        _beside(stack, pulse.watch_store())
        stack.push_async_callback(rounds.stop_opening)
        stack.callback(pulse.set, Health.STOPPING)
        _LOG.info("serving", lab=home.card.name, listen=settings.listen, engine=pool.engine.name)
        yield RunningNode(changes, metrics, WatchProgress(store, rounds, changes))
        _LOG.info("stopping", lab=home.card.name)


def _end_in_time() -> None:
    """See that this process ends, though a thread may be comparing millions: threads cannot be stopped."""

    def end() -> None:
        _LOG.warning("stopped in the middle of work", seconds=_STOPPED_WITHIN)
        os._exit(0)

    timer = threading.Timer(_STOPPED_WITHIN, end)
    timer.daemon = True
    timer.start()


async def _start(stack: contextlib.AsyncExitStack, home: Home, *servers: grpc.aio.Server) -> None:
    """Let servers answer until the stack is left, the operator's for the owner of the home only."""
    for server in servers:
        await server.start()
        stack.push_async_callback(server.stop, _GRACE)
    home.operator_socket.chmod(0o600)
    stack.callback(home.operator_socket.unlink, missing_ok=True)


def _beside(stack: contextlib.AsyncExitStack, work: Coroutine[object, object, None]) -> None:
    """Do something beside all else, until the stack is left."""
    stack.callback(asyncio.create_task(work).cancel)


def _keep_watch(stack: contextlib.AsyncExitStack, rounds: RoundRegistry, watching: Watcher) -> None:
    """Keep standing rounds until the stack is left; then begin no more, and close those that stand."""
    stack.push_async_callback(_stopped, asyncio.create_task(watching.run()))
    stack.push_async_callback(rounds.leave_all, _LEAVE)
    stack.push_async_callback(watching.retire)


async def _stopped(task: asyncio.Task[None]) -> None:
    """End a task, and wait until it has."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _peer_server(
    home: Home, store: Store, own: OwnCards, peer_limits: PeerLimits, metrics: Metrics
) -> grpc.aio.Server:
    """Make the server for peers: TLS with the certificates that are pinned now, and one admission for all."""
    limits = home.settings.limits

    def current() -> tuple[Pairs, bytes]:
        # Which of several certificates a peer is shown goes by the name that it asks for.
        live = own.live()
        cards = (card for peer in store.peers.all() for card in peer.cards)
        pinned = [certificates.pem_from_der(card.certificate) for card in cards]
        # An own certificate keeps the list from being empty before the first peer is pinned; it opens
        # nothing, since admission knows it from no peer.
        roots = b"".join([live[0].tls_certificate, *pinned])
        return [(one.tls_key, one.tls_certificate) for one in live], roots

    served, looked_at = current(), time.monotonic()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # gRPC asks at each handshake, and replaces what it serves without waiting for the handshakes that
        # use it: the process dies of that now and then. So it gets nothing new unless there is.
        nonlocal served, looked_at
        if (moment := time.monotonic()) < looked_at + _LOOK_AT_PEERS_EVERY:
            return None
        looked_at = moment
        if (now := current()) == served:
            return None
        served = now
        return grpc.ssl_server_certificate_configuration(*served)

    server = grpc.aio.server(
        # No limit on calls for all peers together: whoever reached it would shut the others out.
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
    return server


def _operator_server(home: Home, operator: OperatorService, health: HealthService) -> grpc.aio.Server:
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


def _allow_files() -> None:
    """Open as many files and connections as this process may: what it starts with can be 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _refuse_second_node(home: Home) -> None:
    if node_answers(home.operator_socket):
        raise NodeError(Code.BAD_HOME, "another node serves this home")
