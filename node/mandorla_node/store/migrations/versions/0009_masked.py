"""Say which epochs have their label keys masked.

Revision ID: 0009
Revises: 0008

What stands is masked when the epoch is used next: a migration has no key.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is masked yet."""
    op.add_column("asked_epochs", sa.Column("masked", sa.SmallInteger(), nullable=False, server_default="0"))
