"""Word that something was flagged, observed or matched, for what waits for it in this process."""

from __future__ import annotations

import asyncio


class Signal:
    """A count that grows, and that can be waited for; on the event loop only."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Count one more, and wake whoever waits."""
        self.count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def beyond(self, count: int, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - its own end
        """Wait until there is more than `count`, for so many seconds; return whether there is."""
        try:
            async with asyncio.timeout(timeout):
                while self.count <= count:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Changes:
    """What changed in the store: the flagged set, the observed set, and matches."""

    def __init__(self) -> None:
        self.flagged = Signal()
        self.observed = Signal()
        self.matched = Signal()
