"""The node that `mandorla serve` runs."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from ...home.folder import Home


def serve(home: Path, exit_with_parent: bool) -> None:
    """Serve a home until a signal stops the node, or until standard input ends if that is asked for."""
    # gRPC reads this when it is imported. It would log each failed handshake of a stranger.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from ...app import process  # noqa: PLC0415 - the variable has to be set before gRPC is imported

    # A dump of this process's memory would hold every key of the home.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    opened = Home.open(home)

    async def run() -> None:
        stop = asyncio.Event()
        if exit_with_parent:
            await _stop_at_end_of_input(stop)
        await process.serve(opened, stop)

    asyncio.run(run())


async def _stop_at_end_of_input(stop: asyncio.Event) -> None:
    """Set `stop` when standard input ends, as it does when the process at its other end has ended."""

    class EndOfInput(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            stop.set()

    await asyncio.get_running_loop().connect_read_pipe(EndOfInput, sys.stdin.buffer)
