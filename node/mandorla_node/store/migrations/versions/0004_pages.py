"""Keep tables by pages of columns instead of by entries, and own tags by indicator.

Revision ID: 0004
Revises: 0003

A version that was being prepared is forgotten, and prepared anew.
"""

from collections.abc import Iterator
from itertools import groupby, islice

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PAGE = 8_192
ADD = 1


def upgrade() -> None:
    """Move what the old tables hold into the new ones."""
    for epochs, entries, pages in (
        ("held_epochs", "held_entries", "held_pages"),
        ("asked_epochs", "peer_entries", "peer_pages"),
    ):
        created = op.create_table(
            pages,
            sa.Column("epoch_id", sa.Integer(), nullable=False),
            sa.Column("leaf", sa.BigInteger(), nullable=False),
            sa.Column("version", sa.BigInteger(), nullable=False),
            sa.Column("operations", sa.LargeBinary(), nullable=False),
            sa.Column("tags", sa.LargeBinary(), nullable=False),
            sa.Column("sealed", sa.LargeBinary(), nullable=False),
            sa.ForeignKeyConstraint(
                ["epoch_id"], [f"{epochs}.id"], name=op.f(f"fk_{pages}_epoch_id_{epochs}")
            ),
            sa.PrimaryKeyConstraint("epoch_id", "leaf", name=op.f(f"pk_{pages}")),
        )
        for page in _pages(entries):
            op.get_bind().execute(sa.insert(created).values(page))
    op.drop_index(op.f("ix_peer_entries_epoch_id_tag_leaf"), "peer_entries")
    for table in ("held_entries", "peer_entries", "held_staging"):
        op.drop_table(table)
    op.create_table(
        "held_staging",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["epoch_id"], ["held_epochs.id"], name=op.f("fk_held_staging_epoch_id_held_epochs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_staging")),
    )
    op.create_index(op.f("ix_held_staging_epoch_id_bucket"), "held_staging", ["epoch_id", "bucket"])
    _own_tags()


def _pages(entries: str) -> Iterator[dict[str, object]]:
    """Yield the entries of an old table in columns."""
    columns = ("epoch_id", "version", "leaf", "operation", "tag", "sealed")
    old = sa.table(entries, *map(sa.column, columns))
    rows = op.get_bind().execute(sa.select(old).order_by(old.c.epoch_id, old.c.leaf))
    for (epoch, version), run in groupby(rows, key=lambda row: (row.epoch_id, row.version)):
        while page := list(islice(run, PAGE)):
            yield {
                "epoch_id": epoch,
                "leaf": page[0].leaf,
                "version": version,
                "operations": bytes(row.operation for row in page),
                "tags": b"".join(row.tag for row in page),
                "sealed": b"".join(row.sealed for row in page if row.operation == ADD),
            }


def _own_tags() -> None:
    op.rename_table("own_tags", "old_own_tags")
    created = op.create_table(
        "own_tags",
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("label_key", sa.LargeBinary(), nullable=False),
        sa.Column("pending", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["epoch_id"], ["asked_epochs.id"], name=op.f("fk_own_tags_epoch_id_asked_epochs")
        ),
        sa.PrimaryKeyConstraint("epoch_id", "indicator_id", name=op.f("pk_own_tags")),
        sqlite_with_rowid=False,
    )
    names = [column.name for column in created.columns]
    old = sa.table("old_own_tags", *map(sa.column, names))
    ordered = sa.select(old).order_by(old.c.epoch_id, old.c.indicator_id)
    op.execute(sa.insert(created).from_select(names, ordered))
    op.drop_table("old_own_tags")
