"""Waiting between attempts."""

from __future__ import annotations

import asyncio
import random
from typing import Final

_FIRST: Final = 0.1
_LONGEST: Final = 5.0
_DOUBLINGS: Final = 30
"""After so many a wait is as long as it gets, and the numbers stay small."""


async def back_off(attempt: int, first: float = _FIRST, longest: float = _LONGEST) -> None:
    """Wait before attempt number `attempt + 1`: longer each time, and never as long as somebody else."""
    wait = min(longest, first * 2.0 ** min(attempt, _DOUBLINGS))
    await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - jitter, no secret
