"""The contents of one bundle, as `BundleReader` collects them (SPEC 17.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..card import Card
from ..epochs import LabId
from ..header import RoundHeader, RoundId
from ..log.checkpoint import Checkpoint
from ..merkle import Frontier
from ..session.closing import RoundState
from ..session.transcript import CloseStatement
from .records import BundleStart

PROPOSED: Final = "proposed"
"""The state of a round that the lab proposed, while the log does not show that the peer agreed."""

OPEN: Final = RoundState.OPEN
"""The state of an agreed round, while its end is not in the log."""


@dataclass
class RoundFacts:
    """The records of one round in one bundle. `agreed_at` and `ended_at` are Unix seconds.

    `state` is PROPOSED, OPEN, or the state of a `RoundEnded` entry. "This lab" is the bundle's lab.
    """

    header: RoundHeader
    encoded: bytes
    state: str
    agreed_at: int
    ended_at: int = 0
    charged: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Of each chunk that this lab charged, by index: the number of elements, and the request's digest."""

    answered: dict[int, bytes] = field(default_factory=dict)
    """Of each chunk that this lab answered, by index: the answer's digest."""

    unproved: set[int] = field(default_factory=set)
    """The indices of answers whose elements the bundle lacks."""

    closes: list[tuple[CloseStatement, bool, bool]] = field(default_factory=list)
    """Each close statement: whether this lab's signature is valid, and whether the peer's is."""

    @property
    def elements(self) -> int:
        """The number of charged elements."""
        return sum(count for count, _ in self.charged.values())


@dataclass(frozen=True, slots=True)
class CosignedCheckpoint:
    """A checkpoint of the log of the lab `log`, which the lab `cosigner` cosigned at `at` (Unix seconds)."""

    log: LabId
    cosigner: LabId
    checkpoint: Checkpoint
    at: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """An authority's response for a checkpoint, and the latest time of an entry under the checkpoint."""

    checkpoint: Checkpoint
    response: bytes
    latest_entry: int


@dataclass
class Bundle:
    """The contents of one file. `source` is the file's name."""

    source: str
    start: BundleStart | None = None
    cards: dict[LabId, Card] = field(default_factory=dict)
    rounds: dict[RoundId, RoundFacts] = field(default_factory=dict)
    evaluations: int = 0
    unchecked: int = 0
    """Evaluations whose elements the lab deleted in time, so that nobody can check their proofs."""

    leaves: bytearray = field(default_factory=bytearray)
    """The hashes of the log's entries, 32 bytes each."""

    own_checkpoints: list[CosignedCheckpoint] = field(default_factory=list)
    """Checkpoints of this log that peers cosigned."""

    peer_checkpoints: list[CosignedCheckpoint] = field(default_factory=list)
    """Checkpoints of peers' logs that this lab cosigned."""

    stamps: list[Stamp] = field(default_factory=list)
    """The responses of time stamping authorities, unverified."""

    stamped: list[tuple[int, int]] = field(default_factory=list)
    """Pairs of a number of entries and a time, each verified from the response of a trusted authority."""

    @property
    def lab(self) -> LabId | None:
        """The identity of the bundle's lab; None if the file has no valid start."""
        return None if self.start is None else self.start.lab

    @property
    def name(self) -> str:
        """The lab's name and the start of its identity; the file's name if the file has no valid start."""
        return self.source if self.start is None else f"{self.start.name} ({self.start.lab.hex()[:8]})"

    @property
    def size(self) -> int:
        """The number of entries in the log."""
        return len(self.leaves) // 32

    def roots(self, sizes: list[int]) -> Iterator[bytes | None]:
        """Yield the log's root at each of the ascending `sizes`; None for a size that is beyond the log."""
        frontier = Frontier()
        for size in sizes:
            if size > self.size:
                yield None
                continue
            start, end = 32 * frontier.size, 32 * size
            frontier = frontier.extend(
                bytes(self.leaves[offset : offset + 32]) for offset in range(start, end, 32)
            )
            yield frontier.root
