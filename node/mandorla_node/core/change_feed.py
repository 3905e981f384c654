"""Signals between the tasks of a node: something was flagged, observed or matched, or a round progressed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from mandorla_protocol.indicators import Indicator


class EventCount:
    """A count of events that tasks of the event loop can wait for (Reed and Kanodia, 1979).

    A waiter first reads the count, then the state that the events change, and then waits for a higher count.
    So it misses no event that comes between. An event count belongs to one event loop.
    """

    def __init__(self) -> None:
        self.count = 0
        self._next_event = asyncio.Event()

    def advance(self) -> None:
        """Count one event, and wake all waiters."""
        self.count += 1
        self._next_event.set()
        self._next_event = asyncio.Event()

    async def wait_beyond(self, count: int, patience: float | None = None) -> bool:
        """Wait until the count exceeds `count`, for `patience` seconds at most; return whether it does."""
        try:
            async with asyncio.timeout(patience):
                while self.count <= count:
                    await self._next_event.wait()
        except TimeoutError:
            return False
        return True


class VerdictListener(Protocol):
    """A function that drops what it has cached about indicators."""

    def __call__(self, ids: Iterable[int] | None, indicators: Iterable[Indicator] = ()) -> None:
        """Drop what is cached about indicators, given by store id or by value; None stands for all."""
        ...


class ChangeFeed:
    """The signals of one node.

    `flagged` and `observed` advance when indicators enter or change in these sets, `matched` when matches or
    labels may have changed. `progressed` advances when a standing round has published a version of this lab's
    table, or has compared this lab's observed set with a peer's table.
    """

    def __init__(self) -> None:
        self.flagged = EventCount()
        self.observed = EventCount()
        self.matched = EventCount()
        self.progressed = EventCount()
        self.listeners: list[VerdictListener] = []

    def invalidate(self, ids: Iterable[int] | None, indicators: Iterable[Indicator] = ()) -> None:
        """Signal that what the node knows about some indicators may have changed; None stands for all."""
        for listener in self.listeners:
            listener(ids, indicators)
        self.matched.advance()
