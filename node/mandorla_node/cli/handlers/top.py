"""`mandorla top`."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mandorla_protocol.errors import Code, InputError, MandorlaError

from .help import manual
from .options import HomeOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Group

    from mandorla.v1 import operator_pb2

    from ..client import Client

_PATIENCE: Final = 5.0
_ROUNDS: Final = 8


@manual(
    ("Less often, over a slow line:", "mandorla top --every 5"), see="`mandorla status`; docs/observing.md"
)
def top(
    home: HomeOption,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.2, max=60, help="Seconds between two looks.")
    ] = 1.0,
) -> None:
    """Watch the running node: peers, budgets, rounds under way, load.

    Quit with q or Ctrl-C.
    """
    import sys

    from ..client import Client
    from ..home.folder import Home

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(Code.BAD_INPUT, "top draws on a terminal; `mandorla status` prints the same once")
    socket = Home.locate(home).operator_socket

    async def run() -> None:
        async with Client(socket, patience=0) as client:
            await _watch(client, every)

    asyncio.run(run())


async def _watch(client: Client, every: float) -> None:
    """Draw until told to stop; raises MandorlaError if the node does not answer the first time."""
    from rich.live import Live

    from ..terminal import console

    clock = asyncio.get_running_loop().time
    last, looked = await client.status(_PATIENCE, now=True), clock()
    stop = asyncio.Event()
    with _until_q(stop), Live(console=console(), screen=True, auto_refresh=False) as live:
        live.update(_screen(last, last, every), refresh=True)
        while not await _set_within(stop, every):
            try:
                answer = await client.status(_PATIENCE, now=True)
            except MandorlaError as error:
                # It may come back, and what was there is better than nothing.
                live.update(_screen(last, last, every, error.code), refresh=True)
                continue
            now = clock()
            live.update(_screen(answer, last, now - looked), refresh=True)
            last, looked = answer, now


async def _set_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await stop.wait()
    except TimeoutError:
        return False


def _screen(
    status: operator_pb2.StatusResponse,
    before: operator_pb2.StatusResponse,
    seconds: float,
    trouble: Code | None = None,
) -> Group:
    """Return what is drawn; rates are those since the look before."""
    from rich.console import Group
    from rich.text import Text

    from ..terminal import ago, safe, size
    from . import status_view as view

    load, earlier = status.load, before.load

    def rate(now: float, then: float) -> float:
        # A node that was started anew counts from nothing.
        return max(0.0, now - then) / seconds

    cpu = rate(load.cpu_seconds, earlier.cpu_seconds)
    said = [
        f"up {ago(status.started).removesuffix(' ago')}",
        f"{status.engine} engine",
        f"CPU {cpu:.0%}",
        f"memory {size(load.memory_bytes)}",
        f"store {size(load.store_bytes + load.wal_bytes)}",
        f"calls {rate(load.calls, earlier.calls):.0f}/s",
        f"refused {rate(load.refused_calls, earlier.refused_calls):.0f}/s",
        f"checks {rate(load.checks, earlier.checks):.0f}/s",
        f"lag {1000 * load.lag_seconds:.0f} ms",
    ]
    head = [view.title(status), safe("  ".join(said), "dim")]
    if trouble is not None:
        head.append(safe(f"{trouble.name}: {trouble.info.message} This is what it last said.", "bold red"))
    body = [
        view.open_rounds(status),
        view.peers(status),
        *view.warnings(status),
        view.budgets(status),
        view.gaps(status),
        view.recent_rounds(status, _ROUNDS),
    ]
    parts = [line for part in body if part is not None for line in (Text(), part)]
    return Group(*head, *parts)


@contextmanager
def _until_q(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at q or Ctrl-C, read key by key without an echo, and leave the terminal as it was."""
    import signal
    import sys
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        # An end of the input is the terminal's.
        if os.read(keyboard, 64).lower() in (b"", b"q"):
            stop.set()

    saved = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, pressed)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, saved)
