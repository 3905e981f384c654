"""Labs on this machine alone, for the demo and for simulations: homes that know each other, and processes."""

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
_LAST_WORDS: Final = 300


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
async def python_process(
    home: Home, arguments: Sequence[str], *, answers: bool = False, settings: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python for a home's node until the context is left; its standard error goes to a log beside it.

    `answers` keeps its output to be read. The child is asked to end by SIGTERM; should this process be
    killed, the pipe to the child's input ends, and the child with it.
    """
    with _log(home).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if answers else asyncio.subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **(settings or {})},
            # Its own group: Ctrl-C is for whoever started it to handle, and a node's workers end with it.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


def last_words(home: Home) -> str:
    """Return the end of what a home's process wrote to its log, in one line."""
    return " ".join(_log(home).read_text("utf-8", "replace").split())[-_LAST_WORDS:]


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


def _log(home: Home) -> Path:
    return home.path.with_suffix(".log")


def _free_port() -> socket.socket:
    probe = socket.socket(socket.AF_INET)
    probe.bind(("127.0.0.1", 0))
    return probe
