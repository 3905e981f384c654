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
"""A number of up to eight bytes: one that grows as long as the node lives, or that a peer chooses."""

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared byte by byte: a locale's order may change and break an index."""

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
    # `change` numbers the change that set the label, `first_change` the one that flagged the indicator. A
    # published table covers all changes up to a number; its next version reads those above it.
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
    # The number of the change that added it: a standing round reads the changes above a number.
    Column("change", BigInteger, nullable=False, index=True),
    Column("added_by", ForeignKey("ingests.id"), nullable=False),
    Column("touched_by", ForeignKey("ingests.id"), nullable=False),
)

# Groups of fingerprints, by the set of their members and by the lab's own names.
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

# The previous card of a peer, while this lab accepts it beside the newest one.
FORMER_CARDS = Table(
    "former_cards",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("card", _TEXT, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# The certificate of this lab's card that each peer acknowledged last.
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
    # The state of the flagged set that the table shows: its last change, and the time at which labels
    # expired.
    Column("covered_change", BigInteger, nullable=False),
    Column("covered_time", BigInteger, nullable=False),
    UniqueConstraint("querier", "collection", "number"),
)

# Own tables, in the columns of their messages (SPEC 9): a row holds up to a page of entries of one version.
HELD_PAGES = Table(
    "held_pages",
    METADATA,
    Column("epoch_id", ForeignKey("held_epochs.id"), primary_key=True),
    Column("leaf", BigInteger, primary_key=True),  # of its first entry
    Column("version", BigInteger, nullable=False),
    Column("operations", LargeBinary, nullable=False),
    Column("tags", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    # The id of each tag's indicator, in eight bytes; 0 for padding.
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
    Column("begun", SmallInteger, nullable=False),  # 1 while there may be pending tags
    Column("masked", SmallInteger, nullable=False),  # 0 if an older version stored unmasked label keys
    UniqueConstraint("holder", "collection", "number"),
)

OWN_TAGS = Table(
    "own_tags",
    METADATA,
    Column("epoch_id", ForeignKey("asked_epochs.id"), primary_key=True),
    # No foreign key: its look-up would double the cost of an insert. Retention reads this table instead.
    Column("indicator_id", _NUMBER, primary_key=True),
    Column("tag", LargeBinary, nullable=False),
    Column("label_key", LargeBinary, nullable=False),
    # The number of its half. The tag is pending until the whole half is done: a peer that makes a half fail
    # on purpose must not learn from the next one how far this lab came.
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
    # The auditor needs it to verify the proof; null after the lab's retention period.
    Column("blinded", LargeBinary, nullable=True),
)

# This lab's log: its entries (SPEC 18.1). Append-only: triggers refuse changes.
LOG = Table(
    "log",
    METADATA,
    Column("position", _NUMBER, primary_key=True, autoincrement=False),  # of the leaf, from 0
    Column("round_id", LargeBinary, nullable=False),  # empty for an entry outside rounds
    Column("entry", LargeBinary, nullable=False),
)
Index(None, LOG.c.round_id)

# The roots of the log's complete subtrees; proofs consist of them.
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
    Column("origin", _TEXT, nullable=False),  # of the peer's log; part of its key's name
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

# Peers that forked their logs, and the two notes that prove it.
CAUGHT = Table(
    "caught",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("origin", _TEXT, nullable=False),
    Column("one", LargeBinary, nullable=False),
    Column("other", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# `event` numbers the beginnings of matches, of groups too: a match that ended and begins anew gets a new one.
MATCHES = Table(
    "matches",
    METADATA,
    Column("event", _NUMBER, primary_key=True, autoincrement=False),
    Column("peer", LargeBinary, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    # No foreign keys: their look-ups would double the cost of an insert. Rounds are never deleted, and
    # retention reads this table.
    Column("indicator_id", _NUMBER, nullable=False),
    Column("round_id", LargeBinary, nullable=False),
    Column("label", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),  # of the label; 0 for never
    Column("first_matched", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),  # 0 while the match is current
    UniqueConstraint("peer", "kind", "indicator_id"),
)

# Indicators that the last round found and that match only together with others of their group.
PARTIAL_MATCHES = Table(
    "partial_matches",
    METADATA,
    Column("peer", LargeBinary, primary_key=True),
    Column("kind", SmallInteger, primary_key=True),
    Column("indicator_id", ForeignKey("indicators.id"), primary_key=True, index=True),
    Column("round_id", ForeignKey("rounds.id"), nullable=False),
    Column("severity", SmallInteger, nullable=False),  # of the label; the group takes the gravest label
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
    Column("ended_at", BigInteger, nullable=False),  # 0 while the match is current
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

# Restores from a backup: no epoch that began before the restore has a number above `epochs_beyond`.
RESTORES = Table(
    "restores",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("epochs_beyond", BigInteger, nullable=False),
)

# Peers that have not confirmed, since the last restore, what they saw of this lab's log.
UNHEARD = Table("unheard", METADATA, Column("peer", LargeBinary, primary_key=True))

APPEND_ONLY = (LOG, LOG_NODES, COSIGNATURES, PEER_CHECKPOINTS, CAUGHT)
"""Tables whose rows triggers protect from changes and deletion."""

# Alembic's own table: one row with the version of the schema.
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
