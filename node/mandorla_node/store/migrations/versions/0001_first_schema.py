"""The first schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, and make the journal append-only."""
    op.create_table(
        "asked_epochs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.LargeBinary(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("table_version", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asked_epochs")),
        sa.UniqueConstraint(
            "holder", "collection", "number", name=op.f("uq_asked_epochs_holder_collection_number")
        ),
    )
    op.create_table(
        "held_epochs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("querier", sa.LargeBinary(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed_seed", sa.LargeBinary(), nullable=True),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("table_version", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_epochs")),
        sa.UniqueConstraint(
            "querier", "collection", "number", name=op.f("uq_held_epochs_querier_collection_number")
        ),
    )
    op.create_table(
        "indicators",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("profile", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_indicators")),
        sa.UniqueConstraint("value", "type", "profile", name=op.f("uq_indicators_value_type_profile")),
    )
    op.create_table(
        "ingests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingests")),
    )
    op.create_table(
        "journal",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("own_signature", sa.LargeBinary(), nullable=False),
        sa.Column("peer_signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_journal")),
    )
    op.create_table(
        "peers",
        sa.Column("lab", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("last_contact", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lab", name=op.f("pk_peers")),
        sa.UniqueConstraint("name", name=op.f("uq_peers_name")),
    )
    op.create_table(
        "rounds",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rounds")),
    )
    op.create_table(
        "chunks",
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("chunk_index", sa.Integer(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("evaluated", sa.LargeBinary(), nullable=True),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_chunks_round_id")),
        sa.PrimaryKeyConstraint("round_id", "chunk_index", name=op.f("pk_chunks")),
    )
    op.create_table(
        "flagged",
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.SmallInteger(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("confidence", sa.SmallInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("tlp", sa.SmallInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("added_by", sa.Integer(), nullable=False),
        sa.Column("touched_by", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["added_by"], ["ingests.id"], name=op.f("fk_flagged_added_by")),
        sa.ForeignKeyConstraint(["indicator_id"], ["indicators.id"], name=op.f("fk_flagged_indicator_id")),
        sa.ForeignKeyConstraint(["touched_by"], ["ingests.id"], name=op.f("fk_flagged_touched_by")),
        sa.PrimaryKeyConstraint("indicator_id", name=op.f("pk_flagged")),
    )
    op.create_table(
        "held_entries",
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.SmallInteger(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["epoch_id"], ["held_epochs.id"], name=op.f("fk_held_entries_epoch_id")),
        sa.PrimaryKeyConstraint("epoch_id", "leaf", name=op.f("pk_held_entries")),
    )
    op.create_table(
        "held_live",
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["epoch_id"], ["held_epochs.id"], name=op.f("fk_held_live_epoch_id")),
        sa.ForeignKeyConstraint(["indicator_id"], ["indicators.id"], name=op.f("fk_held_live_indicator_id")),
        sa.PrimaryKeyConstraint("epoch_id", "indicator_id", name=op.f("pk_held_live")),
        sa.UniqueConstraint("epoch_id", "tag", name=op.f("uq_held_live_epoch_id_tag")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "held_staging",
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("operation", sa.SmallInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["epoch_id"], ["held_epochs.id"], name=op.f("fk_held_staging_epoch_id")),
        sa.PrimaryKeyConstraint("epoch_id", "tag", name=op.f("pk_held_staging")),
    )
    op.create_table(
        "matches",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.LargeBinary(), nullable=False),
        sa.Column("first_matched", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["indicator_id"], ["indicators.id"], name=op.f("fk_matches_indicator_id")),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_matches_round_id")),
        sa.PrimaryKeyConstraint("peer", "kind", "indicator_id", name=op.f("pk_matches")),
    )
    op.create_table(
        "observed",
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.Integer(), nullable=False),
        sa.Column("touched_by", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["added_by"], ["ingests.id"], name=op.f("fk_observed_added_by")),
        sa.ForeignKeyConstraint(["indicator_id"], ["indicators.id"], name=op.f("fk_observed_indicator_id")),
        sa.ForeignKeyConstraint(["touched_by"], ["ingests.id"], name=op.f("fk_observed_touched_by")),
        sa.PrimaryKeyConstraint("indicator_id", name=op.f("pk_observed")),
    )
    op.create_table(
        "own_tags",
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("label_key", sa.LargeBinary(), nullable=False),
        sa.Column("pending", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["epoch_id"], ["asked_epochs.id"], name=op.f("fk_own_tags_epoch_id")),
        sa.ForeignKeyConstraint(["indicator_id"], ["indicators.id"], name=op.f("fk_own_tags_indicator_id")),
        sa.PrimaryKeyConstraint("epoch_id", "tag", name=op.f("pk_own_tags")),
        sa.UniqueConstraint("epoch_id", "indicator_id", name=op.f("uq_own_tags_epoch_id_indicator_id")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "peer_entries",
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.SmallInteger(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["epoch_id"], ["asked_epochs.id"], name=op.f("fk_peer_entries_epoch_id")),
        sa.PrimaryKeyConstraint("epoch_id", "leaf", name=op.f("pk_peer_entries")),
    )
    op.create_index(
        op.f("ix_peer_entries_epoch_id_tag_leaf"), "peer_entries", ["epoch_id", "tag", "leaf"], unique=False
    )
    op.create_table(
        "sightings",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["indicator_id"], ["indicators.id"], name=op.f("fk_sightings_indicator_id")),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_sightings_round_id")),
        sa.PrimaryKeyConstraint("peer", "indicator_id", name=op.f("pk_sightings")),
    )
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER journal_refuses_{change.lower()} BEFORE {change} ON journal "
            "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        )
