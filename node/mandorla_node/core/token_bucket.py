"""A token bucket: how much may be done at once, and how much in the long run."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """A bucket of `burst` tokens, full at first, that refills at `rate` a second."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._level = burst
        self._filled_at = monotonic()

    def take(self, tokens: float) -> bool:
        """Take tokens if they are there, and none otherwise; say whether they were."""
        self._fill()
        if tokens > self._level:
            return False
        self._level -= tokens
        return True

    def overdraw(self, tokens: float) -> None:
        """Take tokens, whether or not they are there: the caller waits afterwards."""
        self._fill()
        self._level -= tokens

    @property
    def wait(self) -> float:
        """Seconds until the bucket is not overdrawn."""
        self._fill()
        return max(0.0, -self._level / self._rate)

    def _fill(self) -> None:
        now = self._monotonic()
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
