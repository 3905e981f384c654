"""Tasks whose waiters may be gone before they end."""

from __future__ import annotations

import asyncio
from typing import Any


def retrieve_exception(task: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a task, as its done callback.

    Every waiter may have been cancelled before. Python would then report the exception as lost, in a
    traceback that a peer could cause at will.
    """
    if not task.cancelled():
        task.exception()
