"""Word that something was flagged, observed or matched, for what waits for it in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from mandorla_protocol.indicators import Indicator


class EventCount:
    """A count that grows, and that can be waited for; on the event loop only."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Count one more, and wake whoever waits."""
        self.count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def beyond(self, count: int, patience: float | None = None) -> bool:
        """Wait until there is more than `count`, for so many seconds; return whether there is."""
        try:
            async with asyncio.timeout(patience):
                while self.count <= count:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Listener(Protocol):
    """Told what is known otherwise from now on: ids of indicators, None for any, and indicators."""

    def __call__(self, numbers: Iterable[int] | None, indicators: Iterable[Indicator] = ()) -> None:
        """Take note."""
        ...


class ChangeFeed:
    """What changed in the store: flags, sightings, matches; and how far the rounds that stand are."""

    def __init__(self) -> None:
        self.flagged = EventCount()
        self.observed = EventCount()
        self.matched = EventCount()
        self.kept_up = EventCount()
        self.listeners: list[Listener] = []

    def tell(self, numbers: Iterable[int] | None, indicators: Iterable[Indicator] = ()) -> None:
        """Say that other things are known of some indicators, or of any for None."""
        for listener in self.listeners:
            listener(numbers, indicators)
        self.matched.notify()
