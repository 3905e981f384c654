"""The store: everything that a node keeps on disk, apart from its keys and its configuration.

The rest of the node uses repositories that take and return the protocol's types. SQL stays in this package.
"""

from mandorla_protocol.session.closing import RoundState

from .database import WriteObserver
from .held_epoch import FlagState, HeldEpoch
from .indicators import IndicatorSet, IngestCounts, LabelledIndicator, Membership
from .log import CosignedCheckpoint, SubmittedCheckpoint
from .matcher import Candidates
from .matches import MatchRecord
from .overview import Backlog, StoreState
from .peer_epoch import PeerEpoch
from .peers import Peer
from .retention import RetentionStep
from .rounds import RoundRecord, StoredChunk
from .store import Store
from .table_backlog import Additions
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
