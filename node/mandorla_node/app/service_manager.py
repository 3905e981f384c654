"""Notifications to the service manager that started the node, such as systemd: ready, stopping, alive.

The protocol is that of sd_notify(3) and sd_watchdog_enabled(3). Without a manager, nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Final

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG_TIMEOUT: Final = "WATCHDOG_USEC"
_WATCHDOG_PROCESS: Final = "WATCHDOG_PID"


class ServiceManager:
    """The service manager, which takes notifications at a socket.

    `watchdog_interval` is the number of seconds between two signs of life: a third of the watchdog's timeout,
    or 0 without a watchdog.
    """

    def __init__(self, address: str, watchdog_interval: float) -> None:
        self._address = address
        self.watchdog_interval = watchdog_interval

    def ready(self) -> None:
        """Notify the manager that the node serves."""
        self._notify("READY=1")

    def stopping(self) -> None:
        """Notify the manager that the node stops in order."""
        self._notify("STOPPING=1")

    def alive(self) -> None:
        """Reset the manager's watchdog."""
        self._notify("WATCHDOG=1")

    def _notify(self, state: str) -> None:
        if not self._address:
            return
        # A manager that does not read its socket must neither delay the node nor stop it.
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(state.encode(), self._address)


@asynccontextmanager
async def service_manager(
    environment: MutableMapping[str, str] = os.environ,
) -> AsyncIterator[ServiceManager]:
    """Find the service manager, and reset its watchdog until the context ends, while the event loop runs.

    The manager's variables are removed from the environment, so that no child process sends notifications.
    """
    manager = _find(environment)
    watchdog = asyncio.create_task(_reset_watchdog(manager))
    try:
        yield manager
    finally:
        watchdog.cancel()


def _find(environment: MutableMapping[str, str]) -> ServiceManager:
    address = environment.pop(_SOCKET, "")
    timeout = environment.pop(_WATCHDOG_TIMEOUT, "")
    process = environment.pop(_WATCHDOG_PROCESS, "")
    if address.startswith("@"):
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        address = ""
    # The watchdog may watch a parent process, whose variables this process has inherited.
    is_watched = process in ("", str(os.getpid()))
    is_valid = is_watched and timeout.isascii() and timeout.isdigit()
    return ServiceManager(address, int(timeout) / 3_000_000 if is_valid else 0.0)


async def _reset_watchdog(manager: ServiceManager) -> None:
    while manager.watchdog_interval:
        manager.alive()
        await asyncio.sleep(manager.watchdog_interval)
