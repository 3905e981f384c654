"""The time of a node: the one place that reads the wall clock, and what a simulation replaces.

A simulation runs a node with a clock and a timer of its own:

    clock      Unix seconds: headers, labels, certificates, key epochs and budgets are valid or end by it, and
               matches and observations are dated and forgotten by it
    timer      the pace at which standing rounds ask and publish, and the end of every round with its header

All else goes by this machine, in a simulation too: deadlines and retries of calls, waits for a peer or a
lock, rate limits, the seconds between two looks at the store, and measured durations.

`make check` enforces this: nothing but this module calls `time.time` or `datetime.now`, and the rooms of the
rounds, the tables and the operator import neither `time` nor `datetime`.
"""

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
    """Paces and ends rounds: minutes and hours, which a simulation lets pass in no time."""

    def now(self) -> float:
        """Return seconds since a fixed moment; they never decrease."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, at once if that is not positive."""
        ...


class _MachineTimer:
    """Goes by the monotonic clock of this machine."""

    def now(self) -> float:
        """Return seconds since a fixed moment; they never decrease."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, at once if that is not positive."""
        await asyncio.sleep(seconds)


machine_timer: Final[Timer] = _MachineTimer()
