"""Keep a log in the place of the journal: what this lab did, as a Merkle tree that peers cosign.

Revision ID: 0003
Revises: 0002

What an older node wrote to its journal stays in the table `journal`; it is in no log. Its key epochs end, so
that every key in use was logged before it was offered.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the log's tables, and end the epochs that no log knows."""
    op.create_table(
        "log",
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_log")),
    )
    op.create_index(op.f("ix_log_round_id"), "log", ["round_id"])
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_log_nodes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cosignatures",
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("cosignature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size", "peer", name=op.f("pk_cosignatures")),
    )
    op.create_table(
        "peer_checkpoints",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("cosignature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("peer", "size", name=op.f("pk_peer_checkpoints")),
    )
    op.create_table(
        "caught",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("one", sa.LargeBinary(), nullable=False),
        sa.Column("other", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("peer", name=op.f("pk_caught")),
    )
    for table in ("log", "log_nodes", "cosignatures", "peer_checkpoints", "caught"):
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{change.lower()} BEFORE {change} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
            )
    op.execute("UPDATE held_epochs SET sealed_seed = NULL")
    for table in ("held_entries", "held_staging", "held_live"):
        op.execute(sa.delete(sa.table(table)))
    if not op.get_bind().scalar(sa.text("SELECT count(*) FROM journal")):
        op.drop_table("journal")
