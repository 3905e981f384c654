"""A peer's key epoch, as this lab knows it."""

from __future__ import annotations

from dataclasses import dataclass

from mandorla_protocol.epochs import Epoch
from mandorla_protocol.group import Element
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import TableCommitment


@dataclass(frozen=True, slots=True)
class PeerEpoch:
    """A peer's key epoch, and how far its table was read and verified. `id` is 0 until it is stored.

    `halves` counts those that are done; what the one that runs brings does not count until it is.
    """

    id: int
    epoch: Epoch
    public_key: Element
    verified: TableCommitment
    frontier: Frontier
    halves: int = 0
