"""Real nodes for a simulation: one process for each lab, on loopback, in simulated time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from mandorla_node.app.local_labs import log_tail, make_homes, python_process
from mandorla_node.client import Client
from mandorla_node.home.folder import Home
from mandorla_protocol.errors import Code, NodeError

from .node_process import READY

_PATIENCE: Final = 60.0
_COUNT: Final = TypeAdapter(int)
_COUNTS: Final = TypeAdapter(tuple[int, int])
_VERSIONS: Final = TypeAdapter(list[int])
_SETTINGS: Final = {
    "MANDORLA_WORKERS": 1,
    "MANDORLA_LOG_LEVEL": "warning",
    # An hour of simulated calls takes a second of real time.
    "MANDORLA_LIMITS__CALLS_PER_SECOND": 1_000_000,
    "MANDORLA_LIMITS__CALL_BURST": 1_000_000,
    "MANDORLA_LIMITS__CHUNK_BURST": 1_000_000,
    "MANDORLA_LIMITS__ROUND_BURST": 1_000_000,
    "MANDORLA_LIMITS__CHECKPOINT_BURST": 1_000_000,
}
_LAB: Final = ("-m", "mandorla_simulations.nodes.node_process")


@dataclass(frozen=True)
class LabNode:
    """A lab's node process, and a client of its operator socket."""

    home: Home
    process: asyncio.subprocess.Process
    operator: Client

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.home.card.name

    async def set_clock(self, now: int) -> None:
        """Set the node's clock, in Unix seconds."""
        await self._order("time", now)

    async def let_pass(self, until: int) -> None:
        """Set the node's clock, and wake the timers that are due by then."""
        await self._order("passed", until)

    async def expire_flags(self) -> None:
        """Make the node notice that flags have expired."""
        await self._order("expired", [])

    async def published(self, watches: Sequence[tuple[str, str]]) -> list[int]:
        """Wait until all flags are announced to (peer, collection) pairs; return the table versions."""
        return _VERSIONS.validate_python(await self._order("published", watches))

    async def compared(self, versions: Sequence[tuple[str, str, int]]) -> int:
        """Wait until peers' tables are compared with the observed set; return the match count."""
        return _COUNT.validate_python(await self._order("compared", versions))

    async def counted(self) -> tuple[int, int]:
        """Return the bytes of the node's calls, except calls that only wait, and the number of questions."""
        return _COUNTS.validate_python(await self._order("counted", []))

    async def _order(self, order: str, argument: object) -> object:
        """Send the node an order, and return its answer.

        Raises NodeError: NODE_NOT_RUNNING with the end of its log if it has ended, DEADLINE if it does not
        answer.
        """
        if self.process.stdin is None:
            raise NodeError(Code.INTERNAL, "the node process has no standard input")
        with suppress(ConnectionError):
            self.process.stdin.write(json.dumps({order: argument}).encode() + b"\n")
            await self.process.stdin.drain()
        return json.loads(await self._answer())

    async def ready(self) -> None:
        """Wait until the node serves.

        Raises NodeError: see `_order`.
        """
        if await self._answer() != READY:
            raise self._ended()

    async def _answer(self) -> bytes:
        if self.process.stdout is None:
            raise NodeError(Code.INTERNAL, "the node process has no standard output")
        try:
            async with asyncio.timeout(_PATIENCE):
                line = await self.process.stdout.readline()
        except TimeoutError:
            raise NodeError(Code.DEADLINE, f"the node of {self.name} does not answer") from None
        if not line:
            raise self._ended()
        return line

    def _ended(self) -> NodeError:
        return NodeError(Code.NODE_NOT_RUNNING, f"the node of {self.name} ended: {log_tail(self.home)}")


@asynccontextmanager
async def cluster(
    folder: Path, names: Sequence[str], now: int, settings: Mapping[str, object]
) -> AsyncIterator[list[LabNode]]:
    """Run a node for each lab until the context ends; each node has pinned all others.

    `settings` hold for all nodes, by their names in the environment.
    """
    homes = await asyncio.to_thread(make_homes, folder, names)
    environment = {name: str(value) for name, value in {**_SETTINGS, **settings}.items()}
    async with AsyncExitStack() as stack:
        nodes = []
        for home in homes.values():
            process = await stack.enter_async_context(
                python_process(
                    home, (*_LAB, str(home.path), str(now)), pipe_output=True, settings=environment
                )
            )
            operator = await stack.enter_async_context(Client(home.operator_socket, patience=0))
            nodes.append(LabNode(home, process, operator))
        await asyncio.gather(*(node.ready() for node in nodes))
        yield nodes
