"""The labs' nodes, as processes: killed, frozen, stopped, begun again, and looked at from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import grpc

from benchmarks.soak.plan import LABS
from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.app.local_labs import make_homes
from mandorla_node.home.folder import Home

_BOOT = 60.0
_STOP = 60.0
_AGE = 15.0
"""Seconds after its start from which a node's memory is looked at: by then it has caught up."""


class Memory(NamedTuple):
    """A look at a node's memory: when (seconds of the clock of this process), and resident MiB."""

    at: float
    mebibytes: float


class Trouble(NamedTuple):
    """From when to when a node was not well, by the clock of this process."""

    begin: float
    end: float


@dataclass(slots=True)
class Lab:
    """A lab with its node."""

    home: Home
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    memory: list[Memory] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    boots: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return self.home.card.name

    @property
    def log(self) -> Path:
        """What its node wrote to standard error, since the first start."""
        return self.home.path.with_suffix(".log")

    @property
    def size(self) -> int:
        """Bytes of the store's files."""
        return sum(path.stat().st_size for path in self.home.path.glob("*.db*"))

    def start(self) -> None:
        """Start the node."""
        command = [sys.executable, "-m", "mandorla_node.cli", "serve", "--home", str(self.home.path)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--exit-with-parent"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Its own group, so that workers end with it.
                start_new_session=True,
            )
        self.started = time.monotonic()

    async def answers(self) -> None:
        """Wait until the node answers, and note how long that took."""
        async with self.channel() as channel, asyncio.timeout(_BOOT):
            stub: operator_pb2_grpc.OperatorAsyncStub = operator_pb2_grpc.OperatorStub(channel)
            while True:
                self.require_alive()
                with suppress(grpc.aio.AioRpcError):
                    await stub.Status(operator_pb2.StatusRequest(), wait_for_ready=True, timeout=2)
                    break
        self.boots.append(time.monotonic() - self.started)

    def require_alive(self) -> None:
        """Raise RuntimeError if the node has ended by itself."""
        if self.process is None or self.process.poll() is not None:
            words = self.log.read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"the node of {self.name} ended: {words}")

    def signal(self, number: int) -> None:
        """Send the node a signal."""
        if self.process is not None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """End the node as a crash does."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await asyncio.to_thread(self.process.wait)
            self._hang_up()

    async def stop(self) -> int:
        """Ask the node to stop, and note how long it takes; return its exit status."""
        if self.process is None:
            return 0
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        try:
            status = await asyncio.to_thread(self.process.wait, _STOP)
        except subprocess.TimeoutExpired:
            await self.kill()
            return -signal.SIGKILL
        self.stops.append(time.monotonic() - begun)
        self._hang_up()
        return status

    def _hang_up(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def look(self) -> None:
        """Note how much memory the node has, once it has run for a while."""
        now = time.monotonic()
        if self.process is None or now < self.started + _AGE:
            return
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
            self.memory.append(Memory(now, int(status.split("VmRSS:")[1].split()[0]) / 1024))

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """Open a channel to the operator's socket that tries again soon."""
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", "localhost"),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        async with grpc.aio.insecure_channel(f"unix:{self.home.operator_socket}", options=options) as channel:
            yield channel


def make_labs(folder: Path) -> list[Lab]:
    """Make labs that have pinned each other, and that watch what the plan is about."""
    labs = []
    for home in make_homes(folder, LABS).values():
        config = home.path / "mandorla.toml"
        watched = '[watch]\ncollections = ["infrastructure", "accounts"]\n'
        config.write_text(config.read_text("utf-8").replace("[watch]\n", watched))
        labs.append(Lab(Home.open(home.path)))
    return labs
