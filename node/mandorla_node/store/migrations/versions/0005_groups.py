"""Keep groups of fingerprints, and match them by the group.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and indexes to list matches by; no type that an older node knew has groups."""
    op.create_table(
        "groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("name", "type", "target", name=op.f("uq_groups_name_type_target")),
    )
    op.create_table(
        "group_members",
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["indicator_id"], ["indicators.id"], name=op.f("fk_group_members_indicator_id")
        ),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_group_members_group_id")),
        sa.PrimaryKeyConstraint("indicator_id", "group_id", name=op.f("pk_group_members")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "partial_matches",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("confidence", sa.SmallInteger(), nullable=False),
        sa.Column("label", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["indicator_id"], ["indicators.id"], name=op.f("fk_partial_matches_indicator_id")
        ),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_partial_matches_round_id")),
        sa.PrimaryKeyConstraint("peer", "kind", "indicator_id", name=op.f("pk_partial_matches")),
    )
    op.create_table(
        "group_matches",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.LargeBinary(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("first_matched", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_group_matches_group_id")),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_group_matches_round_id")),
        sa.PrimaryKeyConstraint("peer", "kind", "group_id", name=op.f("pk_group_matches")),
    )
    for table, member in (("matches", "indicator_id"), ("group_matches", "group_id")):
        columns = ["peer", "kind", "first_matched", member]
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
