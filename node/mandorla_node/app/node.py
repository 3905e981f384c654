"""The composition root: a running node, made of its parts, around one store."""

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
from ..monitoring.health import HealthMonitor, HealthService, HealthState
from ..monitoring.view import NodeView
from ..notices.notifier import Notifier
from ..operator.checks import Checker
from ..operator.service import OperatorService
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
from ..rounds.service import ExchangeService
from ..rounds.turns import Turns
from ..rounds.watch_progress import WatchProgress
from ..rounds.watcher import Watcher
from ..tables.builder import TableBuilder
from ..tables.preparer import TablePreparer
from ..telemetry.metrics import Metrics
from .servers import operator_server, peer_server

_LOG = structlog.get_logger()

_GRACE: Final = 5.0
"""Seconds for calls that are under way when a server stops."""

_LEAVE: Final = 5.0
"""Seconds for peers to close the standing rounds with a node that stops."""


@dataclass(frozen=True)
class RunningNode:
    """What the code that runs a node may use of it: notice of changes, counts.

    And the progress of the watch.
    """

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
    """Keep a node running for as long as the context is open.

    A simulation brings its own clock and timer (core/clock.py). `ahead` lets the node prepare tables before
    a peer asks for them, and `watch` lets it keep standing rounds with its peers.

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
        _run_until_left(stack, renewal.run())
        policies = Policies(settings.rounds, settings.peers, store)
        tables = TableBuilder(home.card.identity, store, workers, policies)
        stack.push_async_callback(tables.wait_until_idle)
        if ahead and (every := settings.rounds.prepare_every):
            _run_beside(stack, TablePreparer(store, tables, every, metrics).run())
        witness = Witness(home, store, clock)
        changes = ChangeFeed()
        context = RoundContext(
            lab=home.card.identity,
            identity=home.identity,
            settings=settings.rounds,
            watch=settings.watch,
            store=store,
            workers=workers,
            tables=tables,
            changes=changes,
            metrics=metrics,
            clock=clock,
            timer=timer,
        )
        turns, comparisons = Turns(), Comparisons(changes, metrics)
        registry = RoundRegistry(context, turns)
        limits = RateLimits(settings.limits, settings.peers, workers.count)
        rounds = (context, registry, RoundFactory(context, turns, comparisons), turns, comparisons)
        with_peers = (policies, witness, renewal, clients)
        initiator, responder = Initiator(*rounds, *with_peers), Responder(*rounds, *with_peers, limits)
        view = NodeView(
            home, store, registry, comparisons, renewal, metrics, health, workers.engine.name, clock()
        )
        await stack.enter_async_context(view)
        checker = Checker(store, registry, comparisons, changes, settings.action, clock)
        stack.push_async_callback(checker.save_last_seen)
        _run_until_left(stack, checker.run())
        _run_beside(stack, Sweeper(store, home.card.identity, settings, checker, changes, clock).run())
        notifier = Notifier(home, store, changes, clock)
        _run_until_left(stack, notifier.run())
        exchange = ExchangeService(registry, responder, policies, witness, limits, clock, renewal)
        operator = OperatorService(
            home, store, registry, comparisons, initiator, checker, changes, notifier, renewal, view, metrics
        )
        await _start(
            stack,
            home,
            peer_server(home, store, cards, limits, metrics, exchange),
            operator_server(home, operator, HealthService(health)),
        )
        # Called in the opposite order: the peers hear of the end before anything is gone.
        for end in (operator.leave, comparisons.settled, responder.stop, registry.end_all):
            stack.push_async_callback(end)
        if watch:
            _keep_watch(stack, registry, Watcher(context, registry, initiator, policies))
        health.set(HealthState.SERVING)
        _run_beside(stack, health.watch_store())
        stack.push_async_callback(registry.stop_opening)
        stack.callback(health.set, HealthState.STOPPING)
        _LOG.info("serving", lab=home.card.name, listen=settings.listen, engine=workers.engine.name)
        yield RunningNode(changes, metrics, WatchProgress(store, registry, changes))
        _LOG.info("stopping", lab=home.card.name)


async def _start(stack: AsyncExitStack, home: Home, *servers: grpc.aio.Server) -> None:
    """Let servers answer until the stack is left, the operator's for the owner of the home only."""
    for server in servers:
        await server.start()
        stack.push_async_callback(server.stop, _GRACE)
    home.operator_socket.chmod(0o600)
    stack.callback(home.operator_socket.unlink, missing_ok=True)


def _keep_watch(stack: AsyncExitStack, registry: RoundRegistry, watcher: Watcher) -> None:
    """Keep standing rounds until the stack is left; then begin no more, and close those that are open."""
    _run_until_left(stack, watcher.run())
    stack.push_async_callback(registry.leave_all, _LEAVE)
    stack.push_async_callback(watcher.retire)


def _run_beside(stack: AsyncExitStack, work: Coroutine[object, object, None]) -> None:
    """Run a task that is cancelled when the stack is left."""
    stack.callback(asyncio.create_task(work).cancel)


def _run_until_left(stack: AsyncExitStack, work: Coroutine[object, object, None]) -> None:
    """Run a task that is cancelled when the stack is left, and wait there until it has ended."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
