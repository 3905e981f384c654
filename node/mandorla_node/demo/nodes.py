"""The demo's nodes: a process for each lab, none of which outlives the demo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from mandorla_protocol.errors import Code, MandorlaError, NodeError

from ..app.local_labs import log_tail, python_process
from ..client import Client
from ..home.folder import Home

_START_PATIENCE = 60.0
_POLL = 0.05
# The demo reports every evaluation, so no node may start a standing round of its own.
_SETTINGS = {"MANDORLA_WATCH__ENABLED": "false"}
_SERVE = ("-m", "mandorla_node.cli", "serve", "--exit-with-parent")


@dataclass(frozen=True)
class Node:
    """A running node, and the operator's connection to it."""

    home: Home
    process: asyncio.subprocess.Process
    operator: Client

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.home.card.name


@asynccontextmanager
async def running(homes: dict[str, Home]) -> AsyncIterator[dict[str, Node]]:
    """Start a node for each home, and stop them all when the context ends."""
    async with AsyncExitStack() as stack:
        nodes = {}
        for name, home in homes.items():
            process = await stack.enter_async_context(
                python_process(home, (*_SERVE, "--home", str(home.path)), settings=_SETTINGS)
            )
            operator = await stack.enter_async_context(Client(home.operator_socket, patience=0))
            nodes[name] = Node(home, process, operator)
        yield nodes


async def until_ready(node: Node) -> None:
    """Wait until a node answers; raises NodeError(NODE_NOT_RUNNING) if it ends, or takes too long."""
    try:
        async with asyncio.timeout(_START_PATIENCE):
            while not await _answers(node):
                await require_running([node])
                await asyncio.sleep(_POLL)
    except TimeoutError:
        detail = (
            f"the node of {node.name} did not answer within {_START_PATIENCE:.0f} s: {log_tail(node.home)}"
        )
        raise NodeError(Code.NODE_NOT_RUNNING, detail) from None


async def _answers(node: Node) -> bool:
    try:
        await node.operator.status(_START_PATIENCE)
    except MandorlaError as error:
        if error.code is not Code.NODE_NOT_RUNNING:
            raise
        return False
    return True


async def require_running(nodes: Iterable[Node]) -> None:
    """Raise NodeError(NODE_NOT_RUNNING) with the end of its log if a node has ended."""
    # The event loop notices the end of a process in its next turn.
    await asyncio.sleep(0)
    for node in nodes:
        status = node.process.returncode
        if status is not None:
            detail = f"the node of {node.name} ended with status {status}: {log_tail(node.home)}"
            raise NodeError(Code.NODE_NOT_RUNNING, detail)
