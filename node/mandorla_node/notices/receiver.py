"""The interface of receivers of notices."""

from __future__ import annotations

from typing import Protocol


class NotDeliveredError(Exception):
    """An attempt failed. The message contains neither the notice nor the receiver's address."""


class Receiver(Protocol):
    """A receiver of notices."""

    name: str

    async def deliver(self, notice_id: str, document: bytes) -> None:
        """Try once to deliver a notice; raises NotDeliveredError unless the receiver acknowledges it."""
        ...
