"""The result of a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def parsed(self) -> object:
        """Standard output, read as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ran]
