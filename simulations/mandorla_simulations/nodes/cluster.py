"""Real nodes for a simulation: a process for each lab, on loopback, under simulated time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mandorla_node.demo.nodes import make_homes
from mandorla_node.home import Home
from mandorla_node.operator_client import OperatorClient
from mandorla_protocol.errors import Code, NodeError

from .lab import READY, SET

_PATIENCE: Final = 60.0
_STOP_PATIENCE: Final = 10.0
_WORDS: Final = 400


@dataclass(frozen=True)
class LabNode:
    """A lab's node, and the operator's connection to it."""

    home: Home
    process: asyncio.subprocess.Process
    operator: OperatorClient

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.home.card.name

    async def set_clock(self, now: int) -> None:
        """Set the node's time, in Unix seconds.

        Raises NodeError(NODE_NOT_RUNNING) with the node's last words if it is gone.
        """
        if self.process.stdin is None:
            raise NodeError(Code.INTERNAL, "a node without an input")
        with suppress(ConnectionError):
            self.process.stdin.write(f"{now}\n".encode())
            await self.process.stdin.drain()
        await self.expect(SET)

    async def expect(self, word: bytes) -> None:
        """Wait for the node to say something; raises NodeError if it does not."""
        if self.process.stdout is None:
            raise NodeError(Code.INTERNAL, "a node without an output")
        try:
            async with asyncio.timeout(_PATIENCE):
                said = await self.process.stdout.readline()
        except TimeoutError:
            raise NodeError(Code.DEADLINE, f"the node of {self.name} does not answer") from None
        if said != word:
            words = " ".join(_log(self.home).read_text("utf-8", "replace").split())[-_WORDS:]
            raise NodeError(Code.NODE_NOT_RUNNING, f"the node of {self.name} ended: {words}")


@asynccontextmanager
async def cluster(folder: Path, names: Sequence[str], now: int, budget: int) -> AsyncIterator[list[LabNode]]:
    """Keep a node running for each lab; each has pinned the others, and none outlives the context."""
    homes = await asyncio.to_thread(make_homes, folder, names)
    async with AsyncExitStack() as stack:
        nodes = []
        for home in homes.values():
            process = await stack.enter_async_context(_process(home, now, budget))
            operator = await stack.enter_async_context(OperatorClient(home.operator_socket))
            nodes.append(LabNode(home, process, operator))
        await asyncio.gather(*(node.expect(READY) for node in nodes))
        yield nodes


@asynccontextmanager
async def _process(home: Home, now: int, budget: int) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = {
        "MANDORLA_WORKERS": "1",
        "MANDORLA_LOG_LEVEL": "warning",
        "MANDORLA_ROUNDS__BUDGET": str(budget),
        "MANDORLA_ROUNDS__CAP": str(budget),
    }
    with _log(home).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "mandorla_simulations.nodes.lab", str(home.path), str(now)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, **settings},
            # Its own group, so that its workers end with it.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a node by ending its input, and by force if it takes too long; its workers go with it."""
    if process.stdin is not None:
        process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_PATIENCE):
            await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _log(home: Home) -> Path:
    return home.path.with_suffix(".log")
