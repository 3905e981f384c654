"""The view of a running node: one reader of its store and its rounds, for metrics and status."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

import grpc
from grpc_health.v1 import health_pb2_grpc

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, NodeError

from ..crypto import certificates
from ..home.folder import Home
from ..peers.card_renewal import CardRenewal
from ..rounds.comparisons import Comparisons
from ..rounds.registry import RoundRegistry
from ..store import Store
from ..telemetry.metrics import Metrics, kind_label, own_version
from ..telemetry.process import read_usage
from .cache import CachedValue
from .gauges import Gauges, GaugeSnapshot
from .health import HealthMonitor, HealthService
from .http_server import MonitoringServer
from .status import KIND_VALUES, recent_rounds, store_status

_PAGE_AGE: Final = 1.0
_STATE_AGE: Final = 1.0
_BACKLOG_AGE: Final = 15.0
_READ_TIMEOUT: Final = 2.0
_LAG_INTERVAL: Final = 1.0
_HEALTH_CALLS: Final = 64


class NodeView:
    """Reads the state of a node; while the context is open, serves it at the configured addresses."""

    def __init__(
        self,
        home: Home,
        store: Store,
        registry: RoundRegistry,
        comparisons: Comparisons,
        renewal: CardRenewal,
        metrics: Metrics,
        health: HealthMonitor,
        engine: str,
        started: int,
    ) -> None:
        self._home = home
        self._store = store
        self._registry = registry
        self._comparisons = comparisons
        self._renewal = renewal
        self._metrics = metrics
        self._health = health
        self._engine = engine
        self._started = started
        self._stack = AsyncExitStack()
        # Own threads, since the node's threads may all wait for the store: one each for the state, the
        # backlog and the page.
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="view")
        self._state = CachedValue(store.overview.state, self._threads)
        self._backlog = CachedValue(store.overview.backlog, self._threads)
        self._gauges = Gauges()
        self._page: asyncio.Task[bytes] | None = None
        self._page_at = -math.inf
        metrics.registry.register(self._gauges)
        metrics.describe(home.card.name, engine)

    async def __aenter__(self) -> Self:
        """Listen on the configured addresses; raises NodeError(BAD_CONFIG) if one cannot be used."""
        async with AsyncExitStack() as stack:
            stack.callback(self._threads.shutdown, wait=True, cancel_futures=True)
            lag = asyncio.create_task(self._sample_lag())
            stack.callback(lag.cancel)
            policy = self._home.settings.observe
            if policy.listen:
                server = MonitoringServer(policy, self._health, self.page)
                await server.start()
                stack.push_async_callback(server.stop)
            if policy.health:
                health_server = grpc.aio.server(
                    maximum_concurrent_rpcs=_HEALTH_CALLS, options=[("grpc.so_reuseport", 0)]
                )
                health_pb2_grpc.add_HealthServicer_to_server(HealthService(self._health), health_server)
                _listen(health_server, policy.health)
                await health_server.start()
                stack.push_async_callback(health_server.stop, None)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        await self._stack.aclose()

    async def page(self) -> bytes:
        """Return the metrics in Prometheus' text format, made at most once a second.

        If the store does not answer in time, the page has its last values, and their age.
        """
        now = time.monotonic()
        if self._page is None or (self._page.done() and now >= self._page_at + _PAGE_AGE):
            self._page, self._page_at = asyncio.create_task(self._make_page()), now
        # Several callers wait for the same page; one that is cancelled must not cancel it for the others.
        return await asyncio.shield(self._page)

    async def _make_page(self) -> bytes:
        state, backlog = await asyncio.gather(
            self._state.get(_READ_TIMEOUT, _STATE_AGE), self._backlog.get(_READ_TIMEOUT, _BACKLOG_AGE)
        )
        if state is not None:
            self._metrics.start_counts(peer_state.peer.name for peer_state in state.peers)
        rounds = [
            (active.peer.name, kind_label(active.header.kind), active.header.collection, active.progress()[0])
            for active in self._registry.open.values()
        ]
        self._gauges.snapshot = GaugeSnapshot(
            serving=self._health.serving,
            card_ends=certificates.expires_at(self._renewal.cards.newest.card),
            state=state,
            backlog=backlog,
            ages=(("state", self._state.age), ("backlog", self._backlog.age)),
            last_contact=dict(self._metrics.last_contact),
            open_rounds=tuple(rounds),
            comparing=self._comparisons.running,
        )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._metrics.page)

    async def status(self, now: bool) -> operator_pb2.StatusResponse:
        """Return the node's status; `now` accepts older counts of sets and gaps if counting takes long.

        Raises NodeError(STORE_FAILED) if the store cannot be read.
        """
        overview = self._store.overview
        backlog = await (self._backlog.get(_READ_TIMEOUT) if now else asyncio.to_thread(overview.backlog))
        state = await asyncio.to_thread(overview.state)
        recent = await asyncio.to_thread(recent_rounds, self._store)
        status = store_status(self._renewal.cards.newest.card, state, backlog, recent)
        status.health, status.key_source = self._health.state.value, self._home.key_source.kind.value
        status.engine, status.started, status.version = self._engine, self._started, own_version()
        status.comparing = self._comparisons.running
        if backlog is not None:
            status.counted_before = self._backlog.age if now else 0.0
        for shown, peer_state in zip(status.peers, state.peers, strict=True):
            shown.last_contact = max(shown.last_contact, self._metrics.last_contact.get(shown.name, 0))
            shown.card_pending = self._renewal.is_pending(peer_state.peer)
        for active in self._registry.open.values():
            step, done, total = active.progress()
            header = active.header
            status.open_rounds.add(
                round_id=header.round_id,
                peer=active.peer.name,
                kind=KIND_VALUES[header.kind],
                collection=header.collection,
                step=step,
                done=done,
                total=total,
                evaluated_for_peer=active.holder.elements,
                created=header.created,
                initiated=header.initiator.lab == self._home.card.identity,
            )
        self._add_load(status.load)
        return status

    def _add_load(self, load: operator_pb2.Load) -> None:
        metrics = self._metrics
        with suppress(OSError):
            usage = read_usage()
            load.cpu_seconds, load.memory_bytes = usage.cpu, usage.resident
        load.lag_seconds = metrics.last_lag
        load.calls, load.refused_calls, load.checks = metrics.calls, metrics.refused, metrics.checks

    async def _sample_lag(self) -> None:
        """Measure how late the event loop resumes a sleeping task, until cancelled."""
        while True:
            due = time.perf_counter() + _LAG_INTERVAL
            await asyncio.sleep(_LAG_INTERVAL)
            self._metrics.loop_lagged(max(0.0, time.perf_counter() - due))


def _listen(server: grpc.aio.Server, address: str) -> None:
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        raise NodeError(
            Code.BAD_CONFIG, f"cannot listen on {address}, the address in observe.health"
        ) from None
