"""The one place that reads the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]
"""Returns Unix seconds."""


def system_clock() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())
