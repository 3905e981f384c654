"""The store: everything that a node must not forget.

The rest of the node sees repositories that speak the protocol's types; SQL stays in here.
"""

from __future__ import annotations

from pathlib import Path

from mandorla_protocol.session.closing import RoundState

from ..core.clock import Clock
from ..crypto.vault import Vault
from .database import Database, WriteObserver
from .held_epoch import FlagState, HeldEpoch
from .holder import HolderStore
from .indicators import Indicators, IndicatorSet, IngestCounts, LabelledIndicator, Membership
from .labels import LabelStore
from .live_matcher import LiveMatcher
from .log import CosignedCheckpoint, Log, SubmittedCheckpoint
from .matcher import Candidates, Matcher
from .matches import Matches, MatchRecord
from .notices import Notices
from .overview import Backlog, Overview, StoreState
from .peer_epoch import PeerEpoch
from .peers import Peer, Peers
from .querier import QuerierStore
from .restoration import Restoration
from .retention import Retention, RetentionStep
from .rounds import RoundRecord, Rounds, StoredChunk
from .unpublished import Additions
from .version_builder import OwnedPart

__all__ = [
    "Additions",
    "Backlog",
    "Candidates",
    "CosignedCheckpoint",
    "FlagState",
    "HeldEpoch",
    "IndicatorSet",
    "IngestCounts",
    "LabelledIndicator",
    "MatchRecord",
    "Membership",
    "OwnedPart",
    "Peer",
    "PeerEpoch",
    "RetentionStep",
    "RoundRecord",
    "RoundState",
    "Store",
    "StoreState",
    "StoredChunk",
    "SubmittedCheckpoint",
    "WriteObserver",
]


class Store:
    """The repositories over one database."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._labels = said = LabelStore(vault)
        self.peers = Peers(database, clock)
        self.indicators = Indicators(database, clock)
        self.holder = HolderStore(database, vault, clock)
        self.querier = QuerierStore(database, said)
        self.matcher = Matcher(database, said)
        self.rounds = Rounds(database, clock)
        self.matches = Matches(database, said, clock)
        self.notices = Notices(database, clock)
        self.log = Log(database, clock)
        self.overview = Overview(database, clock)
        self.restoration = Restoration(database, clock)
        self.retention = Retention(database, clock)

    @classmethod
    def open(cls, path: Path, vault: Vault, clock: Clock, url: str = "", alone: bool = False) -> Store:
        """Open a store, creating it or bringing its schema up to date.

        It is the SQLite file at a path, or the PostgreSQL database of a URL if there is one; `alone` holds
        the latter for a node that serves.

        Raises NodeError: STORE_FAILED, or BAD_CONFIG for a wrong URL.
        """
        return cls(Database(path, url, alone), vault, clock)

    def live_matcher(self, peer_epoch: PeerEpoch) -> LiveMatcher:
        """Bring an epoch's own tags and the peer's table into memory, for a round that stands."""
        return LiveMatcher(self._database, peer_epoch, self._labels)

    def observe_writes(self, observer: WriteObserver) -> None:
        """Tell somebody how every write goes, from now on."""
        self._database.observer = observer

    def require_writable(self) -> None:
        """Write durably what changes nothing; raises NodeError(STORE_FAILED) if that cannot be done."""
        self._database.require_writable()

    def scrub(self) -> bool:
        """Leave nothing of what was destroyed in the store's files; return whether that could be done."""
        return self._database.scrub()

    def close(self) -> None:
        """Close the store."""
        self._database.close()
