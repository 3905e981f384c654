"""Find what is about an indicator by the indicator, so that one can be forgotten.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes that deleting an indicator looks its references up by."""
    for table in ("partial_matches", "sightings"):
        op.create_index(f"ix_{table}_indicator_id", table, ["indicator_id"])
