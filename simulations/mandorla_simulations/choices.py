"""What whoever asks for a study may choose among."""

from __future__ import annotations

from enum import StrEnum


class Attack(StrEnum):
    """Which attackers a cell of a study has: as the scenario describes them, or all of them changed."""

    CONFIGURED = "configured"
    STAY = "stay"
    ADAPTIVE = "adaptive"


class Fidelity(StrEnum):
    """How matching is done: by set logic, or by real nodes."""

    FAST = "fast"
    NODES = "nodes"
