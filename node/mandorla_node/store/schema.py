"""The store's tables. Migrations bring a store to this shape; a test compares the two."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""A number of up to eight bytes: one that grows for as long as the node lives, or that a peer chose."""

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared by its bytes: what a machine's language says may change under an index."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

PEERS = Table(
    "peers",
    METADATA,
    Column("lab", LargeBinary, primary_key=True),
    Column("name", _TEXT, nullable=False, unique=True),
    Column("card", _TEXT, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("last_contact", BigInteger, nullable=False),
    Column("paused_at", BigInteger, nullable=False),  # 0 unless the operator paused it
)

INGESTS = Table(
    "ingests",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("target", _TEXT, nullable=False),
)

INDICATORS = Table(
    "indicators",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("type", _TEXT, nullable=False),
    Column("profile", SmallInteger, nullable=False),
    Column("value", _TEXT, nullable=False),
    Column("collection", _TEXT, nullable=False),
    UniqueConstraint("value", "type", "profile"),
)

FLAGGED = Table(
    "flagged",
    METADATA,
    Column("indicator_id", ForeignKey("indicators.id"), primary_key=True),
    Column("reason", SmallInteger, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("confidence", SmallInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("tlp", SmallInteger, nullable=False),
    # The number of the change that made the label what it is, and of the one that flagged the indicator: a
    # table covers all changes up to one, and what comes later is found by its number.
    Column("change", BigInteger, nullable=False, index=True),
    Column("first_change", BigInteger, nullable=False),
    Column("added_by", ForeignKey("ingests.id"), nullable=False),
    Column("touched_by", ForeignKey("ingests.id"), nullable=False),
)

Index(None, FLAGGED.c.expires, sqlite_where=FLAGGED.c.expires > 0, postgresql_where=FLAGGED.c.expires > 0)

OBSERVED = Table(
    "observed",
    METADATA,
    Column("indicator_id", ForeignKey("indicators.id"), primary_key=True),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    # The number of the change that brought it: what was observed since one is found by it.
    Column("change", BigInteger, nullable=False, index=True),
    Column("added_by", ForeignKey("ingests.id"), nullable=False),
    Column("touched_by", ForeignKey("ingests.id"), nullable=False),
)

# Groups of fingerprints, by the set that their members are in and the lab's own name for them.
GROUPS = Table(
    "groups",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("target", _TEXT, nullable=False),
    Column("type", _TEXT, nullable=False),
    Column("name", _TEXT, nullable=False),
    UniqueConstraint("name", "type", "target"),
)

GROUP_MEMBERS = Table(
    "group_members",
    METADATA,
    Column("indicator_id", ForeignKey("indicators.id"), primary_key=True),
    Column("group_id", ForeignKey("groups.id"), primary_key=True),
    sqlite_with_rowid=False,
)

# The card that a peer's newest one follows, for as long as its certificate is taken beside the new one.
FORMER_CARDS = Table(
    "former_cards",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("card", _TEXT, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# The certificate of the last card of this lab that each peer said it pinned.
CARD_RECEIPTS = Table(
    "card_receipts",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("certificate_hash", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)

HELD_EPOCHS = Table(
    "held_epochs",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("querier", LargeBinary, nullable=False),
    Column("collection", _TEXT, nullable=False),
    Column("number", _NUMBER, nullable=False),
    Column("sealed_seed", LargeBinary, nullable=True),  # null once destroyed
    Column("budget", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("table_version", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    # The state of the flagged set that the table shows: its last change, and when labels expired.
    Column("covered_change", BigInteger, nullable=False),
    Column("covered_time", BigInteger, nullable=False),
    UniqueConstraint("querier", "collection", "number"),
)

# Tables, in the columns in which they travel (SPEC 9): a row holds entries of one version, up to a page.
HELD_PAGES = Table(
    "held_pages",
    METADATA,
    Column("epoch_id", ForeignKey("held_epochs.id"), primary_key=True),
    Column("leaf", BigInteger, primary_key=True),  # of its first entry
    Column("version", BigInteger, nullable=False),
    Column("operations", LargeBinary, nullable=False),
    Column("tags", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    # Whose each tag is: eight bytes for the indicator's id, 0 for padding.
    Column("owners", LargeBinary, nullable=False),
)

ASKED_EPOCHS = Table(
    "asked_epochs",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("holder", LargeBinary, nullable=False),
    Column("collection", _TEXT, nullable=False),
    Column("number", _NUMBER, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("table_version", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("halves", _NUMBER, nullable=False),  # done in this epoch
    Column("begun", SmallInteger, nullable=False),  # 1 while there may be tags of a half that is not done
    Column("masked", SmallInteger, nullable=False),  # 1 unless an older version kept its label keys
    UniqueConstraint("holder", "collection", "number"),
)

OWN_TAGS = Table(
    "own_tags",
    METADATA,
    Column("epoch_id", ForeignKey("asked_epochs.id"), primary_key=True),
    # No foreign key: looking each up costs as much as keeping it. Whoever forgets indicators looks in here.
    Column("indicator_id", _NUMBER, primary_key=True),
    Column("tag", LargeBinary, nullable=False),
    Column("label_key", LargeBinary, nullable=False),
    # The number of the half that brought it. It counts once that is done as a whole: a peer that fails on
    # purpose must not learn how far this lab came.
    Column("half", _NUMBER, nullable=False),
    sqlite_with_rowid=False,
)

PEER_PAGES = Table(
    "peer_pages",
    METADATA,
    Column("epoch_id", ForeignKey("asked_epochs.id"), primary_key=True),
    Column("leaf", BigInteger, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("operations", LargeBinary, nullable=False),
    Column("tags", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

ROUNDS = Table(
    "rounds",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("peer", LargeBinary, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("collection", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("code", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=False),
)

# Chunks answered as a holder: the same request gets the same answer, and was charged once.
CHUNKS = Table(
    "chunks",
    METADATA,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    Column("chunk_index", _NUMBER, primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("count", Integer, nullable=False),
    Column("evaluated", LargeBinary, nullable=True),
    Column("proof", LargeBinary, nullable=True),
    # What an auditor needs to verify the proof; null once it was kept for as long as the lab keeps it.
    Column("blinded", LargeBinary, nullable=True),
)

# What this lab signed, saw signed, asked and answered. Append-only: triggers refuse changes.
LOG = Table(
    "log",
    METADATA,
    Column("position", _NUMBER, primary_key=True, autoincrement=False),  # of the leaf, from 0
    Column("round_id", LargeBinary, nullable=False),  # empty for what belongs to no round
    Column("entry", LargeBinary, nullable=False),
)
Index(None, LOG.c.round_id)

# The roots of the log's complete subtrees, which proofs are made of.
LOG_NODES = Table(
    "log_nodes",
    METADATA,
    Column("level", Integer, primary_key=True),
    Column("position", _NUMBER, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Checkpoints of this lab's log that peers cosigned.
COSIGNATURES = Table(
    "cosignatures",
    METADATA,
    Column("size", BigInteger, primary_key=True),
    Column("peer", LargeBinary, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("origin", _TEXT, nullable=False),  # of the peer's log, which names its key
    Column("cosignature", LargeBinary, nullable=False),
)

# Checkpoints of peers' logs that this lab cosigned.
PEER_CHECKPOINTS = Table(
    "peer_checkpoints",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("cosignature", LargeBinary, nullable=False),
)

# Peers that showed their log in two ways, and the two notes that prove it.
CAUGHT = Table(
    "caught",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("origin", _TEXT, nullable=False),
    Column("one", LargeBinary, nullable=False),
    Column("other", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# Events number the beginnings of matches, those of groups too: one that ended and holds again is new.
MATCHES = Table(
    "matches",
    METADATA,
    Column("event", _NUMBER, primary_key=True, autoincrement=False),
    Column("peer", LargeBinary, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    # No foreign keys: looking each up costs as much as keeping it. Rounds are never deleted, and whoever
    # forgets indicators looks in here.
    Column("indicator_id", _NUMBER, nullable=False),
    Column("round_id", LargeBinary, nullable=False),
    Column("label", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),  # as the label says; 0 for never
    Column("first_matched", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),  # 0 while it holds
    UniqueConstraint("peer", "kind", "indicator_id"),
)

# Indicators that the last round found and that count with others of their group only.
PARTIAL_MATCHES = Table(
    "partial_matches",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("kind", SmallInteger, primary_key=True),
    Column("indicator_id", ForeignKey("indicators.id"), primary_key=True, index=True),
    Column("round_id", ForeignKey("rounds.id"), nullable=False),
    Column("severity", SmallInteger, nullable=False),  # of the label, to find the gravest of a group
    Column("confidence", SmallInteger, nullable=False),
    Column("label", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

GROUP_MATCHES = Table(
    "group_matches",
    METADATA,
    Column("event", _NUMBER, primary_key=True, autoincrement=False),
    Column("peer", LargeBinary, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("group_id", ForeignKey("groups.id"), nullable=False),
    Column("round_id", ForeignKey("rounds.id"), nullable=False),
    Column("label", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("tokens", Integer, nullable=False),  # members of the group that match
    Column("first_matched", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),  # 0 while it holds
    UniqueConstraint("peer", "kind", "group_id"),
)

SIGHTINGS = Table(
    "sightings",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("indicator_id", ForeignKey("indicators.id"), primary_key=True, index=True),
    Column("round_id", ForeignKey("rounds.id"), nullable=False),
    Column("reported_at", BigInteger, nullable=False),
)

# Receivers of notices of matches, and the last event that each has acknowledged.
NOTICES = Table(
    "notices",
    METADATA,
    Column("receiver", _TEXT, primary_key=True),
    Column("event", BigInteger, nullable=False),
)

# Times at which the store was restored from a backup: no epoch that began before one has a higher number.
RESTORES = Table(
    "restores",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("epochs_beyond", BigInteger, nullable=False),
)

# Peers that have not said since the last of these what they saw of this lab's log.
UNHEARD = Table("unheard", METADATA, Column("peer", LargeBinary, primary_key=True))

APPEND_ONLY = (LOG, LOG_NODES, COSIGNATURES, PEER_CHECKPOINTS, CAUGHT)
"""Tables whose rows are never changed nor deleted: triggers refuse it."""

# Alembic's own table: one row, the version that the schema has.
VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


@cache
def newest_version() -> str:
    """Return the version of this schema: the number in the name of the last migration's file."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")).partition("_")[0]
