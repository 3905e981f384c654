"""Waits between the attempts of one task, by tenacity: exponential and random, so that callers spread."""

from __future__ import annotations

import asyncio
from typing import Final

from tenacity import AsyncRetrying, RetryCallState
from tenacity.wait import wait_exponential, wait_random_exponential

FIRST: Final = 0.1
LONGEST: Final = 5.0

_RETRYING: Final = AsyncRetrying()


class Backoff:
    """The waits of a row of attempts: the first up to `first` seconds, each up to twice the one before it.

    Half of each wait is fixed and half is random, and none is over `longest` seconds.
    """

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._wait = wait_exponential(first / 2, longest / 2) + wait_random_exponential(
            first / 2, longest / 2
        )
        self._state = RetryCallState(_RETRYING, None, (), {})

    def reset(self) -> None:
        """Begin anew: an attempt succeeded."""
        self._state.attempt_number = 1

    def next(self) -> float:
        """Return the seconds of the next wait."""
        seconds = self._wait(self._state)
        self._state.attempt_number += 1
        return seconds

    async def wait(self) -> None:
        """Wait before the next attempt."""
        await asyncio.sleep(self.next())
