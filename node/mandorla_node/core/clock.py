"""The one place that reads the wall clock, and how a node waits for times that may be far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

Clock: TypeAlias = Callable[[], int]
"""Returns Unix seconds."""


def system_clock() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())


class Timer(Protocol):
    """What paces and ends rounds: minutes and hours, which a simulation lets pass in no time."""

    def now(self) -> float:
        """Return seconds since some moment, which never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds, at once if there are none."""
        ...


class _MachineTimer:
    """By the clock of this machine."""

    def now(self) -> float:
        """Return seconds since some moment, which never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds, at once if there are none."""
        await asyncio.sleep(seconds)


machine_timer: Final[Timer] = _MachineTimer()
