"""Two labs as processes on this machine, and a round between them: what it took."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mandorla.v1 import operator_pb2
from mandorla_node.app.local_labs import log_tail, make_homes, python_process
from mandorla_node.client import Client
from mandorla_node.home.folder import Home
from mandorla_node.ingest.ingestor import Ingestor, IngestRow
from mandorla_node.store import IndicatorSet
from mandorla_protocol.labels import Label

NAMES = ("lab-a", "lab-b")
POLL = 0.02
PATIENCE = 1_200.0
"""Seconds after which a node that has not finished is given up."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took. Times are seconds, memory is the larger node's peak in MiB.

    `prepare` is from the first node's beginning its table until both have theirs; `round` from the operator's
    request until both labs know what they share. `cpu` is the CPU time of both nodes and their workers from
    the beginning of the tables to the end of the round; `curve` the part of it in the engine's operations,
    None where they run in processes of their own.
    """

    prepare: float
    round: float
    cpu: float
    curve: float | None
    sent: int
    received: int
    node: int
    workers: int
    engine: str


def address(number: int) -> str:
    """Return the number-th IPv4 address from 10.0.0.0."""
    return f"{10 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@contextmanager
def two_labs(size: int) -> Iterator[Path]:
    """Make two homes that flag `size` addresses each, half of them in common, to be copied for each run."""
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    try:
        for number, home in enumerate(make_homes(folder, NAMES).values()):
            store = home.open_store()
            ingestor = Ingestor(store, IndicatorSet.FLAGGED)
            first = number * size // 2
            for start in range(first, first + size, 10_000):
                values = range(start, min(start + 10_000, first + size))
                ingestor.add([IngestRow(value + 1, "ipv4", address(value), Label()) for value in values])
            ingestor.finish()
            store.close()
        yield folder
    finally:
        shutil.rmtree(folder)


async def run_round(made: Path, size: int, cores: int) -> Round:
    """Run a round of two labs, each a node on the first `cores` cores with as many workers."""
    async with ready(made, cores) as labs:
        started = asyncio.get_running_loop().time()
        result = await labs.run_round()
        ended = asyncio.get_running_loop().time()
        if result.matches != size - size // 2:
            raise SystemExit(f"{result.matches} matches instead of {size - size // 2}")
        meters = [await node.measured() for node in labs.nodes]
        processes = [node.process.pid for node in labs.nodes]
        workers = [pid for process in processes for pid in children(process)]
        return Round(
            prepare=max(meter["ready"] for meter in meters) - min(meter["begun"] for meter in meters),
            round=ended - started,
            cpu=sum(meter["cpu"] for meter in meters) + sum(map(cpu_time, workers)),
            curve=None if workers else sum(meter["curve"] for meter in meters),
            sent=result.bytes_sent,
            received=result.bytes_received,
            node=max(map(peak_memory, processes)),
            workers=max(map(peak_memory, workers), default=0),
            engine=(await labs.nodes[0].operator.status()).engine,
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A node that runs."""

    home: Home
    process: asyncio.subprocess.Process
    operator: Client

    @property
    def meter(self) -> Path:
        """The file in which it says what it has done (benchmarks/serve_profile.py)."""
        return self.home.path.with_suffix(".meter")

    async def measured(self) -> dict[str, Any]:
        """Ask what it has done until now."""
        self.process.send_signal(signal.SIGUSR1)
        return await self.says(lambda meter: meter["asked"] > 0)

    async def says(self, enough: Any) -> dict[str, Any]:
        """Wait until it has written what is wanted."""
        async with asyncio.timeout(PATIENCE):
            while self.process.returncode is None:
                if self.meter.exists() and enough(meter := json.loads(self.meter.read_text("ascii"))):
                    return meter
                await asyncio.sleep(POLL)
        raise SystemExit(f"a node ended: {log_tail(self.home)}")


@dataclass(frozen=True, slots=True)
class Labs:
    """Two labs whose tables for each other are ready."""

    nodes: list[Node]

    async def run_round(self) -> operator_pb2.RoundResult:
        """Run a `shared` round until both labs know what they share, and return what the first was told."""
        first, second = self.nodes
        words = first.operator.start_round(NAMES[1], operator_pb2.KIND_SHARED, "infrastructure")
        last = [progress async for progress in words][-1]
        # The other lab compares after the close, and answers its operator when it is done.
        await second.operator.status()
        return last.result


@asynccontextmanager
async def ready(made: Path, cores: int) -> AsyncIterator[Labs]:
    """Serve a copy of two homes until left, from when their tables are ready."""
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    try:
        for name in NAMES:
            shutil.copytree(made / name, folder / name)
        first, second = (Home.open(folder / name) for name in NAMES)
        async with serving(first, cores) as a, serving(second, cores) as b:
            for node in (a, b):
                await node.says(lambda meter: meter["ready"])
            yield Labs([a, b])
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def serving(home: Home, cores: int) -> AsyncIterator[Node]:
    """Run the node of a home, and a client for its operator."""
    script = str(Path(__file__).with_name("serve_profile.py"))
    arguments = [script, str(home.path.with_suffix(".meter")), str(cores), "serve", "--home", str(home.path)]
    settings = {"MANDORLA_WORKERS": str(cores), "MANDORLA_WATCH__ENABLED": "false"}
    async with (
        python_process(home, arguments, settings=settings) as process,
        Client(home.operator_socket) as operator,
    ):
        yield Node(home, process, operator)


def peak_memory(process: int) -> int:
    """Return a process's peak resident size in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def cpu_time(process: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
