"""What a command did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def parsed(self) -> object:
        """Standard output, as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ran]
