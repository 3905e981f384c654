"""What a study compares: kinds of attackers, and ways to find matches."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Attack(StrEnum):
    """The attackers of a cell: as the scenario describes them, or all of them changed."""

    CONFIGURED = "configured"
    STAY = "stay"
    ADAPTIVE = "adaptive"


ATTACK_NAMES: Final = {
    Attack.CONFIGURED: "as the scenario describes them",
    Attack.STAY: "that stay at one lab",
    Attack.ADAPTIVE: "that adapt",
}
"""How texts name the attackers of each kind, after the word "attackers"."""


class Fidelity(StrEnum):
    """How matches are found: by set logic, or by real nodes."""

    FAST = "fast"
    NODES = "nodes"
