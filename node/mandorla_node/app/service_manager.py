"""What the node tells the service manager that started it: that it serves, that it stops, that it is alive.

The protocol is that of sd_notify(3) and sd_watchdog_enabled(3). Where no manager listens, nothing is said.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Final

_ADDRESS: Final = "NOTIFY_SOCKET"
_INTERVAL: Final = "WATCHDOG_USEC"
_FOR: Final = "WATCHDOG_PID"


class Supervisor:
    """The service manager's socket.

    `alive_every` is in seconds, a third of how long the manager waits for a node that hangs; 0 if it does
    not watch.
    """

    def __init__(self, address: str, alive_every: float) -> None:
        self._address = address
        self.alive_every = alive_every

    def ready(self) -> None:
        """Say that the node serves."""
        self._say("READY=1")

    def stopping(self) -> None:
        """Say that the node ends of its own accord."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """Say that the node does its work."""
        self._say("WATCHDOG=1")

    def _say(self, state: str) -> None:
        if not self._address:
            return
        # What the manager does not take in is no reason for the node to wait, or to end.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)
            to.sendto(state.encode(), self._address)


@asynccontextmanager
async def supervised(environment: MutableMapping[str, str] = os.environ) -> AsyncIterator[Supervisor]:
    """Find the service manager, and let it know that the event loop runs for as long as the context is open.

    The variables that lead to it are taken out of the environment: no child of this process speaks for it.
    """
    supervisor = _found(environment)
    telling = asyncio.create_task(_tell(supervisor))
    try:
        yield supervisor
    finally:
        telling.cancel()


def _found(environment: MutableMapping[str, str]) -> Supervisor:
    address = environment.pop(_ADDRESS, "")
    interval = environment.pop(_INTERVAL, "")
    watched = environment.pop(_FOR, "")
    if address.startswith("@"):
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        address = ""
    # The variables of a manager further up are not for this process.
    ours = not watched or watched == str(os.getpid())
    valid = ours and interval.isascii() and interval.isdigit()
    return Supervisor(address, int(interval) / 3_000_000 if valid else 0.0)


async def _tell(supervisor: Supervisor) -> None:
    while supervisor.alive_every:
        supervisor.alive()
        await asyncio.sleep(supervisor.alive_every)
