"""The demo's nodes: a process for each lab, none of which outlives the demo."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from mandorla_protocol.errors import Code, MandorlaError, NodeError

from ..home import Home
from ..operator_client import OperatorClient

_START_PATIENCE = 60.0
_STOP_PATIENCE = 3.0
_POLL = 0.05


@dataclass(frozen=True)
class Node:
    """A running node, and the operator's connection to it."""

    home: Home
    process: asyncio.subprocess.Process
    operator: OperatorClient

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.home.card.name


def make_homes(folder: Path, names: Sequence[str]) -> dict[str, Home]:
    """Make a home for each lab, and pin every card at every other."""
    with ExitStack() as stack:
        # All ports are held until each has its own.
        ports = [stack.enter_context(_free_port()).getsockname()[1] for _ in names]
        homes = {
            name: Home.create(folder / name, lab=name, listen=f"127.0.0.1:{port}")
            for name, port in zip(names, ports, strict=True)
        }
    for home in homes.values():
        with closing(home.open_store()) as store:
            for other in homes.values():
                if other is not home:
                    store.peers.add(other.card)
    return homes


@asynccontextmanager
async def running(homes: dict[str, Home]) -> AsyncIterator[dict[str, Node]]:
    """Keep a node running for each home, from when it is started until the context is left."""
    async with AsyncExitStack() as stack:
        nodes = {}
        for name, home in homes.items():
            process = await stack.enter_async_context(_process(home))
            operator = await stack.enter_async_context(OperatorClient(home.operator_socket))
            nodes[name] = Node(home, process, operator)
        yield nodes


async def until_ready(node: Node) -> None:
    """Wait for a node to answer; raises NodeError if it ends, or takes too long."""
    async with asyncio.timeout(_START_PATIENCE):
        while True:
            await require_running([node])
            try:
                await node.operator.status(_START_PATIENCE)
                return
            except MandorlaError as error:
                if error.code is not Code.NODE_NOT_RUNNING:
                    raise
            await asyncio.sleep(_POLL)


@asynccontextmanager
async def _process(home: Home) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a node, which ends with the demo: should that be killed, the pipe to the node's input ends."""
    with _log(home).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "mandorla_node.cli", "serve", "--home", str(home.path), "--exit-with-parent"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
            # Its own group: Ctrl-C is the demo's to handle, and a node's workers end with it.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a node and its workers: with SIGTERM, and with SIGKILL if it takes too long."""
    try:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_PATIENCE):
                    await process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def require_running(nodes: Iterable[Node]) -> None:
    """Raise NodeError(NODE_NOT_RUNNING) with its last words if a node has ended."""
    # A process that has just ended is noticed by the event loop in its next turn.
    await asyncio.sleep(0)
    for node in nodes:
        status = node.process.returncode
        if status is not None:
            said = f"the node of {node.name} ended with status {status}: {_last_words(node.home)}"
            raise NodeError(Code.NODE_NOT_RUNNING, said)


def _last_words(home: Home) -> str:
    return " ".join(_log(home).read_text("utf-8", "replace").split())[-300:]


def _log(home: Home) -> Path:
    return home.path.with_suffix(".log")


def _free_port() -> socket.socket:
    probe = socket.socket(socket.AF_INET)
    probe.bind(("127.0.0.1", 0))
    return probe
