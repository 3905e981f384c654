"""`mandorla serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .help import manual
from .options import HomeOption

if TYPE_CHECKING:
    import asyncio


@manual(
    ("In the foreground, with a log for reading:", "mandorla serve"),
    ("With another port than the home's, for once:", "MANDORLA_LISTEN=127.0.0.1:7444 mandorla serve"),
    environment=(("MANDORLA_LOG_LEVEL", "`debug`, `info`, `warning` or `error`."),),
    files=(
        ("HOME/mandorla.toml", "Its settings, which are read once, at the start."),
        ("HOME/operator.sock", "Where the other commands and the lab's gateway ask it."),
    ),
    see="`mandorla status`; docs/operators.md, which has a systemd unit and a container",
)
def serve(
    home: HomeOption,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", hidden=True, help="Stop when standard input ends.")
    ] = False,
) -> None:
    """Run the node until SIGTERM or Ctrl-C.

    Logs go to standard error: one JSON object a line, or for reading if it is a terminal.
    """
    import asyncio
    import os
    import resource

    # gRPC reads this when it is imported; it would say a line for each stranger that fails to shake hands.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from ..app import process
    from ..home.folder import Home

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
    """Set `stop` when standard input ends, as it does when the process at its other end is gone."""
    import asyncio
    import sys

    class Watch(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            stop.set()

    await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin.buffer)
