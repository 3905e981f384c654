"""Labs on this machine, for the demo, simulations and benchmarks: homes that pin each other, processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Final

from ..home.folder import Home

_STOP_PATIENCE: Final = 3.0
_LOG_TAIL: Final = 300


def make_homes(folder: Path, names: Sequence[str]) -> dict[str, Home]:
    """Create a home for each lab, and pin the card of each lab in all other homes."""
    with ExitStack() as stack:
        # All sockets stay open until each lab has its port. Otherwise two labs could get the same port.
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
async def python_process(
    home: Home,
    arguments: Sequence[str],
    *,
    pipe_output: bool = False,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python for a home's node until the context ends; its standard error goes to a log beside the home.

    With `pipe_output`, the caller reads the child's standard output. `settings` are environment variables.
    The child ends by SIGTERM at the end of the context. If this process is killed, the pipe to the child's
    standard input closes, and the child ends itself.
    """
    with _log(home).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if pipe_output else asyncio.subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **(settings or {})},
            # In a process group of its own, the child does not get this terminal's Ctrl-C, which this process
            # handles, and `_stop` can end the child's workers with it.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


def log_tail(home: Home) -> str:
    """Return the end of the log of a home's process, in one line."""
    return " ".join(_log(home).read_text("utf-8", "replace").split())[-_LOG_TAIL:]


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a node with SIGTERM, then end it and its workers with SIGKILL."""
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


def _log(home: Home) -> Path:
    return home.path.with_suffix(".log")


def _free_port() -> socket.socket:
    probe = socket.socket(socket.AF_INET)
    probe.bind(("127.0.0.1", 0))
    return probe
