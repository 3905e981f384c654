"""Real nodes for a simulation: a process for each lab, on loopback, under simulated time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from mandorla_node.app.local_labs import last_words, make_homes, python_process
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
    # What a peer may do in an hour is done in a second here.
    "MANDORLA_LIMITS__CALLS_PER_SECOND": 1_000_000,
    "MANDORLA_LIMITS__CALL_BURST": 1_000_000,
    "MANDORLA_LIMITS__CHUNK_BURST": 1_000_000,
    "MANDORLA_LIMITS__ROUND_BURST": 1_000_000,
    "MANDORLA_LIMITS__CHECKPOINT_BURST": 1_000_000,
}
_LAB: Final = ("-m", "mandorla_simulations.nodes.node_process")


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
        """Set the node's time, in Unix seconds."""
        await self._order("time", now)

    async def let_pass(self, until: int) -> None:
        """Set the node's time, and end what waits for a time up to that."""
        await self._order("passed", until)

    async def look_for_expired(self) -> None:
        """Have the node see that flags have expired."""
        await self._order("expired", [])

    async def published(self, watches: Sequence[tuple[str, str]]) -> list[int]:
        """Wait until all that is flagged is announced to peers over collections; return table versions."""
        return _VERSIONS.validate_python(await self._order("published", watches))

    async def compared(self, versions: Sequence[tuple[str, str, int]]) -> int:
        """Wait until peers' tables are compared with all that is observed; return how often it matched."""
        return _COUNT.validate_python(await self._order("compared", versions))

    async def counted(self) -> tuple[int, int]:
        """Return the bytes of the calls that the node made, but for waits, and how many chunks it asked."""
        return _COUNTS.validate_python(await self._order("counted", []))

    async def _order(self, order: str, given: object) -> object:
        """Have the node do something, and return its answer.

        Raises NodeError(NODE_NOT_RUNNING) with the node's last words if it is gone, DEADLINE if it hangs.
        """
        if self.process.stdin is None:
            raise NodeError(Code.INTERNAL, "a node without an input")
        with suppress(ConnectionError):
            self.process.stdin.write(json.dumps({order: given}).encode() + b"\n")
            await self.process.stdin.drain()
        return json.loads(await self._answer())

    async def ready(self) -> None:
        """Wait until the node serves; raises NodeError if it does not."""
        if await self._answer() != READY:
            raise self._ended()

    async def _answer(self) -> bytes:
        if self.process.stdout is None:
            raise NodeError(Code.INTERNAL, "a node without an output")
        try:
            async with asyncio.timeout(_PATIENCE):
                said = await self.process.stdout.readline()
        except TimeoutError:
            raise NodeError(Code.DEADLINE, f"the node of {self.name} does not answer") from None
        if not said:
            raise self._ended()
        return said

    def _ended(self) -> NodeError:
        return NodeError(Code.NODE_NOT_RUNNING, f"the node of {self.name} ended: {last_words(self.home)}")


@asynccontextmanager
async def cluster(
    folder: Path, names: Sequence[str], now: int, settings: Mapping[str, object]
) -> AsyncIterator[list[LabNode]]:
    """Keep a node running for each lab; each has pinned the others, and none outlives the context.

    `settings` are of all nodes alike, by their names in the environment.
    """
    homes = await asyncio.to_thread(make_homes, folder, names)
    environment = {name: str(value) for name, value in {**_SETTINGS, **settings}.items()}
    async with AsyncExitStack() as stack:
        nodes = []
        for home in homes.values():
            process = await stack.enter_async_context(
                python_process(home, (*_LAB, str(home.path), str(now)), answers=True, settings=environment)
            )
            operator = await stack.enter_async_context(Client(home.operator_socket, patience=0))
            nodes.append(LabNode(home, process, operator))
        await asyncio.gather(*(node.ready() for node in nodes))
        yield nodes
