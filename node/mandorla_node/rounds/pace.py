"""How fast a standing round goes: at once while it does little, and slower when it would cost too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core.token_bucket import TokenBucket

LAST_MINUTE: Final = 30
"""Seconds before a header expires at which its round is closed."""

NEGLIGIBLE_WAIT: Final = 0.001
"""Seconds that count as no wait: what rounding leaves of one."""

_BUDGET_LASTS: Final = 30 * 24 * 3600
"""Seconds for which a budget of evaluations lasts, when a lab asks without pause."""

_AT_ONCE: Final = 10
"""A lab may spend one part in ten of a budget at once."""


def question_pace(budget: int, monotonic: Callable[[], float]) -> TokenBucket:
    """Return the pace at which a lab asks under a budget of evaluations, its padding included.

    Each question is padded, so that one for each new indicator would spend a budget in no time. A tenth of
    the budget is there at once, and the rest comes evenly over thirty days: later questions gather more.
    """
    return TokenBucket(budget / _BUDGET_LASTS, budget / _AT_ONCE, monotonic)


def version_pace(monotonic: Callable[[], float]) -> TokenBucket:
    """Return the pace at which a table grows while a round stands: two versions a second, a hundred at once.

    Each version is padded, and stays for the life of the key.
    """
    return TokenBucket(2.0, 100.0, monotonic)
