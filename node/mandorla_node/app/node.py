"""The composition root: constructs, starts and stops the parts of a node, around one store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import structlog

from mandorla_protocol.card import Card
from mandorla_protocol.errors import Code, NodeError

from ..core.change_feed import ChangeFeed
from ..core.clock import Clock, Timer, machine_timer, system_clock
from ..crypto.workers import Workers
from ..home.folder import Home
from ..home.liveness import node_answers
from ..home.own_cards import OwnCard
from ..ingest.suppression import Suppressor
from ..monitoring.health import HealthMonitor, HealthService, HealthState
from ..monitoring.view import NodeView
from ..notices.notifier import Notifier
from ..operator.checks import Checker
from ..operator.service import OperatorContext, OperatorService
from ..operator.sweeper import Sweeper
from ..peers.card_renewal import CardRenewal
from ..peers.client import PeerClient
from ..peers.current_cards import CurrentCards
from ..peers.policy import Policies
from ..peers.rate_limits import RateLimits
from ..peers.witness import Witness
from ..rounds.comparisons import Comparisons
from ..rounds.context import RoundContext
from ..rounds.factory import RoundFactory
from ..rounds.initiator import Initiator
from ..rounds.registry import RoundRegistry
from ..rounds.responder import Responder
from ..rounds.round_locks import RoundLocks
from ..rounds.service import ExchangeService
from ..rounds.watch_progress import WatchProgress
from ..rounds.watcher import Watcher
from ..tables.builder import TableBuilder
from ..tables.preparer import TablePreparer
from ..telemetry.metrics import Metrics
from .servers import operator_server, peer_server

_LOG = structlog.get_logger()

_SERVER_GRACE: Final = 5.0
"""Seconds in which calls that are under way can end when a server stops."""

_CLOSE_PATIENCE: Final = 5.0
"""Seconds in which the peers can close their standing rounds with a node that stops."""


@dataclass(frozen=True)
class RunningNode:
    """The parts of a running node that the code around it uses, in simulations and tests."""

    changes: ChangeFeed
    metrics: Metrics
    watch_progress: WatchProgress


@asynccontextmanager
async def running(
    home: Home,
    clock: Clock = system_clock,
    ahead: bool = False,
    watch: bool = False,
    timer: Timer = machine_timer,
) -> AsyncIterator[RunningNode]:
    """Run a node until the context ends.

    A simulation brings its own clock and timer (core/clock.py). With `ahead`, the node prepares its tables
    before a peer asks for them. With `watch`, it keeps standing rounds with its peers.

    Raises NodeError: BAD_HOME if another node serves this home, BAD_CONFIG if an address cannot be used.
    """
    settings = home.settings
    if node_answers(home.operator_socket):
        raise NodeError(Code.BAD_HOME, "another node serves this home")
    async with AsyncExitStack() as stack:
        store = home.open_store(clock, alone=True)
        stack.callback(store.close)
        metrics = Metrics(clock)
        health = HealthMonitor(store, metrics)
        store.observe_writes(health)
        workers = Workers(settings.engine, settings.workers)
        stack.callback(workers.close)
        store.rounds.interrupt_open()
        receipts = {peer.lab: peer.receipt for peer in store.peers.all() if peer.receipt}
        cards = CurrentCards(home.cards, receipts, settings.keys.overlap, clock)

        def clients(card: Card, own: OwnCard | None = None) -> PeerClient:
            return PeerClient(card, own or cards.pinned_by(card.identity), settings.limits, metrics)

        renewal = CardRenewal(home, store, cards, clients, clock)
        _run_and_join(stack, renewal.run())
        policies = Policies(settings.rounds, settings.peers, store)
        tables = TableBuilder(home.card.identity, store, workers, policies)
        stack.push_async_callback(tables.wait_until_idle)
        if ahead and (every := settings.rounds.prepare_every):
            _run_until_exit(stack, TablePreparer(store, tables, every, metrics).run())
        witness = Witness(home.identity, home.card, store, clock)
        changes = ChangeFeed()
        context = RoundContext(
            lab=home.card.identity,
            identity=home.identity,
            settings=settings.rounds,
            watch=settings.watch,
            store=store,
            workers=workers,
            tables=tables,
            policies=policies,
            witness=witness,
            clients=clients,
            changes=changes,
            metrics=metrics,
            clock=clock,
            timer=timer,
        )
        locks, comparisons = RoundLocks(), Comparisons(changes, metrics)
        registry = RoundRegistry(context, locks)
        limits = RateLimits(settings.limits, settings.peers, workers.count)
        round_parts = (context, registry, RoundFactory(context, locks, comparisons), locks, comparisons)
        initiator = Initiator(*round_parts, renewal.try_deliver)
        responder = Responder(*round_parts, cards, limits)
        view = NodeView(
            home, store, registry, comparisons, renewal, metrics, health, workers.engine.name, clock()
        )
        await stack.enter_async_context(view)
        checker = Checker(store, registry, comparisons, changes, settings.action, clock)
        stack.push_async_callback(checker.save_last_seen)
        _run_and_join(stack, checker.run())
        _run_until_exit(stack, Sweeper(store, home.card.identity, settings, checker, changes, clock).run())
        notifier = Notifier(home, store, changes, clock)
        _run_and_join(stack, notifier.run())
        exchange = ExchangeService(registry, responder, policies, witness, limits, clock, renewal)
        operator = OperatorService(
            OperatorContext(
                store=store,
                registry=registry,
                comparisons=comparisons,
                initiator=initiator,
                checker=checker,
                changes=changes,
                notifier=notifier,
                renewal=renewal,
                view=view,
                metrics=metrics,
            ),
            Suppressor(home.path, settings.suppression),
        )
        await _start(
            stack,
            home,
            peer_server(home, store, cards, limits, metrics, exchange),
            operator_server(home, operator, HealthService(health)),
        )
        # The stack calls these in the opposite order: rounds end with close statements to the peers while all
        # parts still work.
        for end in (operator.end_follows, comparisons.settled, responder.stop, registry.end_all):
            stack.push_async_callback(end)
        if watch:
            _keep_watch(stack, registry, Watcher(context, registry, initiator))
        health.set(HealthState.SERVING)
        _run_until_exit(stack, health.watch_store())
        stack.push_async_callback(registry.stop_opening)
        stack.callback(health.set, HealthState.STOPPING)
        _LOG.info("serving", lab=home.card.name, listen=settings.listen, engine=workers.engine.name)
        yield RunningNode(changes, metrics, WatchProgress(store, registry, changes))
        _LOG.info("stopping", lab=home.card.name)


async def _start(stack: AsyncExitStack, home: Home, *servers: grpc.aio.Server) -> None:
    """Start servers, and stop them when the stack exits. Only the owner can open the operator's socket."""
    for server in servers:
        await server.start()
        stack.push_async_callback(server.stop, _SERVER_GRACE)
    home.operator_socket.chmod(0o600)
    stack.callback(home.operator_socket.unlink, missing_ok=True)


def _keep_watch(stack: AsyncExitStack, registry: RoundRegistry, watcher: Watcher) -> None:
    """Keep standing rounds until the stack exits. Then stop opening rounds, and close the open ones."""
    _run_and_join(stack, watcher.run())
    stack.push_async_callback(registry.leave_all, _CLOSE_PATIENCE)
    stack.push_async_callback(watcher.retire)


def _run_until_exit(stack: AsyncExitStack, work: Coroutine[object, object, None]) -> None:
    """Run a task, and cancel it when the stack exits."""
    stack.callback(asyncio.create_task(work).cancel)


def _run_and_join(stack: AsyncExitStack, work: Coroutine[object, object, None]) -> None:
    """Run a task; when the stack exits, cancel it and wait until it has ended."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
