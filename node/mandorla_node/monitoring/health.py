"""Whether the node serves, for probes: grpc.health.v1, and the words that status shows."""

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

PROBE_EVERY: Final = 10.0
"""Seconds between two proofs that the store can be written."""

RETRY_EVERY: Final = 1.0
"""Seconds between them while it cannot."""

_SERVICES: Final = ("", "mandorla.v1.Exchange", "mandorla.v1.Operator")
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Context = grpc.aio.ServicerContext[Message, Message]


class HealthState(Enum):
    """How the node is, in words."""

    STARTING = "starting"
    SERVING = "serving"
    STORE_UNWRITABLE = "the store cannot be written"
    STOPPING = "stopping"


class HealthMonitor:
    """The node's health, and whoever waits for it to change. Made in the event loop that it runs in.

    It observes the store's writes: one that fails is a reason to look.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._doubt = asyncio.Event()
        self.state = HealthState.STARTING

    @property
    def serving(self) -> bool:
        """Whether the node does what it is there for."""
        return self.state is HealthState.SERVING

    def set(self, state: HealthState) -> None:
        """Change the health; a node that stops does nothing else any more."""
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
        """Is set when the health becomes another one than it is now."""
        return self._changed

    def wrote(self, seconds: float) -> None:
        """Count a transaction that is on disk."""
        self._metrics.wrote(seconds)

    def write_failed(self) -> None:
        """Count a transaction that the store refused, and look whether it refuses others; from any thread."""
        self._metrics.write_failed()
        with suppress(RuntimeError):  # a thread that outlives the loop has nobody to tell
            self._loop.call_soon_threadsafe(self._doubt.set)

    async def watch_store(self) -> None:
        """Write to the store now and then, until cancelled: only a write shows that the disk takes one.

        A write that waits for its turn, behind a long one of this node's own, changes nothing meanwhile.
        """
        while True:
            self._doubt.clear()
            try:
                await asyncio.to_thread(self._store.require_writable)
            except MandorlaError:
                self.set(HealthState.STORE_UNWRITABLE)
                await asyncio.sleep(RETRY_EVERY)
                continue
            self.set(HealthState.SERVING)
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY):
                    await self._doubt.wait()


class HealthService(health_pb2_grpc.HealthServicer):
    """grpc.health.v1 over a node's health. A watch ends when the node stops, so that it holds nothing up."""

    def __init__(self, health: HealthMonitor) -> None:
        self._health = health

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Say whether a service, or with no name the whole node, serves."""
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "No such service.")
        return self._response()

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Say it now, and each time that it changes; of an unknown service only that it is none."""
        known = request.service in _SERVICES
        said: bool | None = None
        while True:
            # Taken before the look, so that no change is missed between it and the wait.
            change = self._health.change
            if not known and said is None:
                said = False
                yield health_pb2.HealthCheckResponse(status=_UNKNOWN)
            elif known and said is not self._health.serving:
                said = self._health.serving
                yield self._response()
            if self._health.state is HealthState.STOPPING:
                return
            await change.wait()

    def _response(self) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=_SERVING if self._health.serving else _NOT_SERVING)
