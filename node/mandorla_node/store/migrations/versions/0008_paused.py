"""Let an operator pause a peer.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No peer is paused."""
    op.add_column("peers", sa.Column("paused_at", sa.BigInteger(), nullable=False, server_default="0"))
