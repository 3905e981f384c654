"""The repositories over one database."""

from __future__ import annotations

from pathlib import Path

from ..core.clock import Clock
from ..crypto.vault import Vault
from .database import Database, WriteObserver
from .holder import HolderStore
from .indicators import Indicators
from .labels import LabelStore
from .live_matcher import LiveMatcher
from .log import Log
from .matcher import Matcher
from .matches import Matches
from .notices import Notices
from .overview import Overview
from .peer_epoch import PeerEpoch
from .peers import Peers
from .querier import QuerierStore
from .restoration import Restoration
from .retention import Retention
from .rounds import Rounds


class Store:
    """The repositories over one database: each is an attribute, and its methods are transactions."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._labels = labels = LabelStore(vault)
        self.peers = Peers(database, clock)
        self.indicators = Indicators(database, clock)
        self.holder = HolderStore(database, vault, clock)
        self.querier = QuerierStore(database, labels)
        self.matcher = Matcher(database, labels)
        self.rounds = Rounds(database, clock)
        self.matches = Matches(database, labels, clock)
        self.notices = Notices(database, clock)
        self.log = Log(database, clock)
        self.overview = Overview(database, clock)
        self.restoration = Restoration(database, clock)
        self.retention = Retention(database, clock)

    @classmethod
    def open(cls, path: Path, vault: Vault, clock: Clock, url: str = "", exclusive: bool = False) -> Store:
        """Open a store, creating it or bringing its schema up to date.

        The store is the PostgreSQL database of `url`, or the SQLite file at `path` if `url` is empty.
        `exclusive` keeps other nodes out of a PostgreSQL database; a home's socket does that for SQLite.

        Raises NodeError: STORE_FAILED, or BAD_CONFIG for a wrong URL.
        """
        return cls(Database(path, url, exclusive), vault, clock)

    def live_matcher(self, peer_epoch: PeerEpoch) -> LiveMatcher:
        """Load an epoch's own tags and the peer's table into memory, for a standing round."""
        return LiveMatcher(self._database, peer_epoch, self._labels)

    def observe_writes(self, observer: WriteObserver) -> None:
        """Report the result of every later write to an observer."""
        self._database.observer = observer

    def require_writable(self) -> None:
        """Commit a write that changes no data; raises NodeError(STORE_FAILED) if the database refuses it."""
        self._database.require_writable()

    def scrub(self) -> bool:
        """Erase destroyed secrets from the store's files; return False if another transaction prevents it."""
        return self._database.scrub()

    def close(self) -> None:
        """Close the store."""
        self._database.close()
