"""What every way to tell of a match has in common."""

from __future__ import annotations

from typing import Protocol


class NotDeliveredError(Exception):
    """An attempt failed, for a reason that holds no data of what was to be delivered, nor where to."""


class Receiver(Protocol):
    """Takes notices, one after the other."""

    name: str

    async def deliver(self, notice_id: str, document: bytes) -> None:
        """Deliver one notice once; raises NotDeliveredError unless it was acknowledged."""
        ...
