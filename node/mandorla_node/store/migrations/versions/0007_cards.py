"""Keep the card that a peer's newest one follows, and who has pinned which card of this lab.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; no card that an older node pinned follows another."""
    op.create_table(
        "former_cards",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("peer", name=op.f("pk_former_cards")),
    )
    op.create_table(
        "card_receipts",
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("certificate_hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("peer", name=op.f("pk_card_receipts")),
    )
