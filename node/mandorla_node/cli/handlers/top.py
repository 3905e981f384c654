"""The live view of `mandorla top`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, InputError, MandorlaError

from ...client import Client
from ...home.folder import Home
from ...terminal import ago, console, safe, size
from . import status_tables

_PATIENCE: Final = 5.0
_ROUNDS: Final = 8


def top(home: Path, every: float) -> None:
    """Draw the node's state every few seconds, until the operator quits.

    Raises InputError: BAD_INPUT off a terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(Code.BAD_INPUT, "top needs a terminal; `mandorla status` prints the same state once")
    # A home whose key cannot be opened is reported before the screen is cleared.
    socket = Home.locate(home).operator_socket
    asyncio.run(_run(socket, every))


async def _run(socket: Path, every: float) -> None:
    async with Client(socket, patience=0) as client:
        await _watch(client, every)


async def _watch(client: Client, every: float) -> None:
    """Draw until the operator quits; raises MandorlaError if the node does not answer the first request."""
    clock = asyncio.get_running_loop().time
    last, asked_at = await client.status(_PATIENCE, now=True), clock()
    stop = asyncio.Event()
    with _until_q(stop), Live(console=console(), screen=True, auto_refresh=False) as live:
        live.update(_screen(last, last, every), refresh=True)
        while not await _set_within(stop, every):
            try:
                answer = await client.status(_PATIENCE, now=True)
            except MandorlaError as error:
                # The node may come back. The last state stays on the screen until then.
                live.update(_screen(last, last, every, error.code), refresh=True)
                continue
            now = clock()
            live.update(_screen(answer, last, now - asked_at), refresh=True)
            last, asked_at = answer, now


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
    """Return the screen; its rates are averages since the status `before`."""
    load, earlier = status.load, before.load

    def rate(now: float, then: float) -> float:
        # A restarted node counts from zero.
        return max(0.0, now - then) / seconds

    cpu = rate(load.cpu_seconds, earlier.cpu_seconds)
    facts = [
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
    head = [status_tables.title(status), safe("  ".join(facts), "dim")]
    if trouble is not None:
        head.append(safe(f"{trouble.name}: {trouble.info.message} This is its last known state.", "bold red"))
    body = [
        status_tables.open_rounds(status),
        status_tables.peers(status),
        *status_tables.warnings(status),
        status_tables.budgets(status),
        status_tables.gaps(status),
        status_tables.recent_rounds(status, _ROUNDS),
    ]
    parts = [line for part in body if part is not None for line in (Text(), part)]
    return Group(*head, *parts)


@contextmanager
def _until_q(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at q or Ctrl-C; read keys one by one without echo, and restore the terminal at the end."""
    keyboard = sys.stdin.fileno()
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        # The input ends when the terminal is closed.
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
