"""Keep the blinded elements of each chunk: an auditor verifies the proof with them.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; chunks that were answered before have no blinded elements."""
    op.add_column("chunks", sa.Column("blinded", sa.LargeBinary(), nullable=True))
