"""What one bundle says, as a reader gathers it (SPEC 17.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..card import Card
from ..epochs import LabId
from ..header import RoundHeader, RoundId
from ..log.checkpoint import Checkpoint
from ..merkle import Frontier
from ..session.transcript import CloseStatement
from .records import BundleStart

PROPOSED: Final = "proposed"
"""The state of a round that this lab proposed, and of which no log says that the peer agreed."""

OPEN: Final = "open"
"""The state of a round whose end is not in the log."""


@dataclass
class RoundFacts:
    """What one bundle says of one round."""

    header: RoundHeader
    encoded: bytes
    state: str
    agreed_at: int
    ended_at: int = 0
    charged: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """By index: the elements and the request's digest, of chunks that this lab charged."""

    answered: dict[int, bytes] = field(default_factory=dict)
    """By index: the digest of the answer, of chunks that this lab answered."""

    unproved: set[int] = field(default_factory=set)
    """The indices of answers whose elements were not shown."""

    closes: list[tuple[CloseStatement, bool, bool]] = field(default_factory=list)
    """Statements, and whether this lab and the peer signed each."""

    @property
    def elements(self) -> int:
        """Elements that were charged."""
        return sum(count for count, _ in self.charged.values())


@dataclass(frozen=True, slots=True)
class SeenCheckpoint:
    """A checkpoint of one lab's log that another lab cosigned, and when."""

    log: LabId
    cosigner: LabId
    checkpoint: Checkpoint
    at: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """An authority's response on a checkpoint, and the latest time of an entry that this covers."""

    checkpoint: Checkpoint
    response: bytes
    latest_entry: int


@dataclass
class Bundle:
    """What one file says."""

    source: str
    start: BundleStart | None = None
    cards: dict[LabId, Card] = field(default_factory=dict)
    rounds: dict[RoundId, RoundFacts] = field(default_factory=dict)
    evaluations: int = 0
    unchecked: int = 0
    """Evaluations whose elements are not kept any more, so that their proofs were not checked."""

    leaves: bytearray = field(default_factory=bytearray)
    """The hashes of the log's entries, 32 bytes each."""

    cosigned: list[SeenCheckpoint] = field(default_factory=list)
    """Checkpoints of this log that peers cosigned."""

    seen: list[SeenCheckpoint] = field(default_factory=list)
    """Checkpoints of peers' logs that this lab cosigned."""

    stamps: list[Stamp] = field(default_factory=list)
    """What time stamping authorities answered, unverified."""

    stamped: list[tuple[int, int]] = field(default_factory=list)
    """How many entries there were by which time, where an authority that the verifier trusts says so."""

    @property
    def lab(self) -> LabId | None:
        """Whose file it is."""
        return None if self.start is None else self.start.lab

    @property
    def name(self) -> str:
        """How the lab calls itself, and which identity it is; of an unreadable file, the file's name."""
        return self.source if self.start is None else f"{self.start.name} ({self.start.lab.hex()[:8]})"

    @property
    def size(self) -> int:
        """The number of the log's entries."""
        return len(self.leaves) // 32

    def roots(self, sizes: list[int]) -> Iterator[bytes | None]:
        """Yield the root that the log had at each of some ascending sizes; None where it is shorter."""
        frontier = Frontier()
        for size in sizes:
            if size > self.size:
                yield None
                continue
            start, end = 32 * frontier.size, 32 * size
            frontier = frontier.extend(
                bytes(self.leaves[place : place + 32]) for place in range(start, end, 32)
            )
            yield frontier.root
