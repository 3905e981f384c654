"""Real nodes for a simulation: a process for each lab, on loopback, under simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mandorla_node.client import Client
from mandorla_node.home import Home
from mandorla_node.local import last_words, make_homes, python_process
from mandorla_protocol.errors import Code, NodeError

from .lab import READY, SET

_PATIENCE: Final = 60.0
_LAB: Final = ("-m", "mandorla_simulations.nodes.lab")


@dataclass(frozen=True)
class LabNode:
    """A lab's node, and the operator's connection to it."""

    home: Home
    process: asyncio.subprocess.Process
    operator: Client

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
            raise NodeError(Code.NODE_NOT_RUNNING, f"the node of {self.name} ended: {last_words(self.home)}")


@asynccontextmanager
async def cluster(folder: Path, names: Sequence[str], now: int, budget: int) -> AsyncIterator[list[LabNode]]:
    """Keep a node running for each lab; each has pinned the others, and none outlives the context."""
    homes = await asyncio.to_thread(make_homes, folder, names)
    settings = {
        "MANDORLA_WORKERS": "1",
        "MANDORLA_LOG_LEVEL": "warning",
        "MANDORLA_ROUNDS__BUDGET": str(budget),
        "MANDORLA_ROUNDS__CAP": str(budget),
    }
    async with AsyncExitStack() as stack:
        nodes = []
        for home in homes.values():
            process = await stack.enter_async_context(
                python_process(home, (*_LAB, str(home.path), str(now)), answers=True, settings=settings)
            )
            operator = await stack.enter_async_context(Client(home.operator_socket, patience=0))
            nodes.append(LabNode(home, process, operator))
        await asyncio.gather(*(node.expect(READY) for node in nodes))
        yield nodes
