"""A peer's key epoch, as this lab knows it."""

from __future__ import annotations

from dataclasses import dataclass

from mandorla_protocol.epochs import Epoch
from mandorla_protocol.group import Element
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.table import TableCommitment


@dataclass(frozen=True, slots=True)
class PeerEpoch:
    """A peer's key epoch, and the verified part of its table. `id` is 0 until the epoch is stored.

    `halves` counts the halves that are done. The tags of a running half are pending until it is done.
    """

    id: int
    epoch: Epoch
    public_key: Element
    verified: TableCommitment
    frontier: Frontier
    halves: int = 0
