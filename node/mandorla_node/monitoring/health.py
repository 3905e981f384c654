"""The health of the node: for probes as grpc.health.v1, and in words for status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import Enum
from typing import Final

import grpc
import structlog
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mandorla_protocol.errors import MandorlaError

from ..store import Store
from ..telemetry.metrics import Metrics

_LOG = structlog.get_logger()

PROBE_INTERVAL: Final = 10.0
"""Seconds between two test writes to the store."""

RETRY_INTERVAL: Final = 1.0
"""Seconds between two test writes while the store refuses them."""

_SERVICES: Final = ("", "mandorla.v1.Exchange", "mandorla.v1.Operator")
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Context = grpc.aio.ServicerContext[Message, Message]


class HealthState(Enum):
    """The states of a node; the values are the words that status shows."""

    STARTING = "starting"
    SERVING = "serving"
    STORE_UNWRITABLE = "the store cannot be written"
    STOPPING = "stopping"


class HealthMonitor:
    """The node's state of health. Construct it in the node's event loop.

    It observes the store's writes: a failed write starts a test write at once.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._test_due = asyncio.Event()
        self.state = HealthState.STARTING

    @property
    def serving(self) -> bool:
        """Whether the node serves and its store accepts writes."""
        return self.state is HealthState.SERVING

    def set(self, state: HealthState) -> None:
        """Change the state. STOPPING is final."""
        if state is self.state or self.state is HealthState.STOPPING:
            return
        if HealthState.STORE_UNWRITABLE in (state, self.state):
            level = "error" if state is HealthState.STORE_UNWRITABLE else "info"
            getattr(_LOG, level)("health changed", health=state.value)
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def change(self) -> asyncio.Event:
        """The event that is set at the next change of the state."""
        return self._changed

    def wrote(self, seconds: float) -> None:
        """Count a transaction that is on disk."""
        self._metrics.wrote(seconds)

    def write_failed(self) -> None:
        """Count a transaction that the store refused, and start a test write. Thread-safe."""
        self._metrics.write_failed()
        with suppress(RuntimeError):  # the thread may outlive the event loop
            self._loop.call_soon_threadsafe(self._test_due.set)

    async def watch_store(self) -> None:
        """Make test writes to the store at intervals, until cancelled: only a write shows that writes work.

        While a test write waits for a long write of the node's own, the state stays as it is.
        """
        while True:
            self._test_due.clear()
            try:
                await asyncio.to_thread(self._store.require_writable)
            except MandorlaError:
                self.set(HealthState.STORE_UNWRITABLE)
                await asyncio.sleep(RETRY_INTERVAL)
                continue
            self.set(HealthState.SERVING)
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_INTERVAL):
                    await self._test_due.wait()


class HealthService(health_pb2_grpc.HealthServicer):
    """grpc.health.v1. A watch ends when the node stops: an open one would delay the stop."""

    def __init__(self, health: HealthMonitor) -> None:
        self._health = health

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Return whether a service serves; the empty name means the node."""
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "No such service.")
        return self._response()

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Send the status now and at each change; for an unknown service, SERVICE_UNKNOWN once."""
        is_known = request.service in _SERVICES
        sent: bool | None = None
        while True:
            # Taken before the state is read: a change between the two is not missed.
            change = self._health.change
            if not is_known and sent is None:
                sent = False
                yield health_pb2.HealthCheckResponse(status=_UNKNOWN)
            elif is_known and sent is not self._health.serving:
                sent = self._health.serving
                yield self._response()
            if self._health.state is HealthState.STOPPING:
                return
            await change.wait()

    def _response(self) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=_SERVING if self._health.serving else _NOT_SERVING)
