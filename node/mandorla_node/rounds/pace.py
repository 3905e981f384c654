"""How fast a standing round goes: at once while that is seldom, and slower when it would cost too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LAST_MINUTE: Final = 30
"""Seconds before a header expires at which its round is closed."""

_QUESTIONS_IN: Final = 30 * 24 * 3600
"""Seconds for which a budget of evaluations is to last, when a lab asks without end."""

_AT_ONCE: Final = 10
"""The part of a budget that may be spent as fast as it is needed: one of so many."""


NEGLIGIBLE_WAIT: Final = 0.001
"""Seconds that are no wait worth speaking of: what is left of one by rounding."""


class Pace:
    """A bucket that may be overdrawn: what is spent too much is waited for afterwards."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float]) -> None:
        """Refill at `rate` a second, up to `burst`."""
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._level = burst
        self._filled_at = monotonic()

    def spend(self, amount: float) -> None:
        """Take an amount, whether or not it is there."""
        self._fill()
        self._level -= amount

    @property
    def wait(self) -> float:
        """Seconds until there is something to spend."""
        self._fill()
        return max(0.0, -self._level / self._rate)

    def _fill(self) -> None:
        now = self._monotonic()
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now


def question_pace(budget: int, monotonic: Callable[[], float]) -> Pace:
    """Return the pace at which a lab asks under a budget of evaluations, its padding included.

    Each question is padded, so that one for each new indicator would spend a budget in no time. A tenth of
    the budget is there at once, and the rest comes evenly over thirty days: later questions gather more.
    """
    return Pace(budget / _QUESTIONS_IN, budget / _AT_ONCE, monotonic)


def version_pace(monotonic: Callable[[], float]) -> Pace:
    """Return the pace at which a table grows while a round stands: two versions a second, a hundred at once.

    Each is padded, and stays for the life of the key.
    """
    return Pace(2.0, 100.0, monotonic)
