"""Number what changes among flagged indicators, the beginnings of matches, and halves; keep whose tags are.

Revision ID: 0006
Revises: 0005

A version that was being prepared is forgotten, and prepared anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TAG = 16
OWNER = 8


def upgrade() -> None:
    """Bring the tables to their new shape, and what they hold with them."""
    op.drop_table("held_staging")
    _owners()
    _changes()
    op.drop_table("held_live")
    _add("observed", sa.Column("change", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(op.f("ix_observed_change"), "observed", ["change"])
    _add("partial_matches", sa.Column("expires", sa.BigInteger(), nullable=False, server_default="0"))
    _halves()
    _matches("matches", "indicator_id", [])
    _matches("group_matches", "group_id", [sa.Column("tokens", sa.Integer(), nullable=False)])


def _owners() -> None:
    connection = op.get_bind()
    _add("held_pages", sa.Column("owners", sa.LargeBinary(), nullable=False, server_default=""))
    pages = sa.table("held_pages", *map(sa.column, ("epoch_id", "leaf", "tags", "owners")))
    live = sa.table("held_live", *map(sa.column, ("epoch_id", "indicator_id", "tag")))
    keys = connection.execute(sa.select(pages.c.epoch_id, pages.c.leaf).order_by(*pages.c[:2])).all()
    owner: dict[bytes, int] = {}
    read = None
    for epoch, leaf in keys:
        if epoch != read:
            held = sa.select(live.c.tag, live.c.indicator_id).where(live.c.epoch_id == epoch)
            rows = connection.execute(held).all()
            owner, read = dict(map(tuple, rows)), epoch
        mine = sa.and_(pages.c.epoch_id == epoch, pages.c.leaf == leaf)
        tags = connection.execute(sa.select(pages.c.tags).where(mine)).scalar_one()
        numbers = (owner.get(tags[at : at + TAG], 0) for at in range(0, len(tags), TAG))
        owners = b"".join(number.to_bytes(OWNER, "big") for number in numbers)
        connection.execute(sa.update(pages).where(mine).values(owners=owners))


def _changes() -> None:
    """Let what every table holds with its label of today be change 1, and the rest change 2.

    What only some tables hold comes to them again, which changes nothing; and so does the revocation of
    what has expired.
    """
    for name in ("change", "first_change"):
        _add("flagged", sa.Column(name, sa.BigInteger(), nullable=False, server_default="1"))
    op.execute(
        """
        UPDATE flagged SET change = 2 WHERE EXISTS (
            SELECT 1 FROM held_epochs
            JOIN indicators ON indicators.collection = held_epochs.collection
            LEFT JOIN held_live ON held_live.epoch_id = held_epochs.id
                AND held_live.indicator_id = flagged.indicator_id
            WHERE indicators.id = flagged.indicator_id AND held_epochs.sealed_seed IS NOT NULL
                AND (held_live.revision IS NULL OR held_live.revision < flagged.revision)
        )
        """
    )
    op.drop_column("flagged", "revision")
    op.create_index(op.f("ix_flagged_change"), "flagged", ["change"])
    some = sa.text("expires > 0")
    op.create_index(
        op.f("ix_flagged_expires"), "flagged", ["expires"], sqlite_where=some, postgresql_where=some
    )
    for name in ("covered_change", "covered_time"):
        _add("held_epochs", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE held_epochs SET covered_change = 1 WHERE table_version > 0")


def _add(table: str, column: sa.Column[object]) -> None:
    # Not by a copy of the table, which others refer to. The default stays, and no insert relies on it.
    op.add_column(table, column)


def _halves() -> None:
    """Tell what a half brought that is not done by its number; what stood was pending or not."""
    op.rename_table("own_tags", "old_own_tags")
    created = op.create_table(
        "own_tags",
        sa.Column("epoch_id", sa.Integer(), nullable=False),
        sa.Column("indicator_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("label_key", sa.LargeBinary(), nullable=False),
        sa.Column("half", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["epoch_id"], ["asked_epochs.id"], name=op.f("fk_own_tags_epoch_id")),
        sa.PrimaryKeyConstraint("epoch_id", "indicator_id", name=op.f("pk_own_tags")),
        sqlite_with_rowid=False,
    )
    old = sa.table(
        "old_own_tags", *map(sa.column, ("epoch_id", "indicator_id", "tag", "label_key", "pending"))
    )
    ordered = sa.select(old).order_by(old.c.epoch_id, old.c.indicator_id)
    op.execute(sa.insert(created).from_select([column.name for column in created.columns], ordered))
    op.drop_table("old_own_tags")
    _add("asked_epochs", sa.Column("halves", sa.Integer(), nullable=False, server_default="0"))
    _add("asked_epochs", sa.Column("begun", sa.SmallInteger(), nullable=False, server_default="1"))


def _matches(table: str, member: str, more: list[sa.Column[int]]) -> None:
    index = f"ix_{table}_peer_kind_first_matched_{member}"
    op.drop_index(op.f(index), table)
    op.rename_table(table, f"old_{table}")
    grouped = bool(more)
    constraints = [
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f(f"fk_{table}_group_id")),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f(f"fk_{table}_round_id")),
    ]
    created = op.create_table(
        table,
        sa.Column(
            "event",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("peer", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column(member, sa.Integer(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.LargeBinary(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        *more,
        sa.Column("first_matched", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event", name=op.f(f"pk_{table}")),
        *(constraints if grouped else []),
        sa.UniqueConstraint("peer", "kind", member, name=op.f(f"uq_{table}_peer_kind_{member}")),
    )
    names = [column.name for column in created.columns if column.name not in ("event", "expires")]
    old = sa.table(f"old_{table}", *map(sa.column, names))
    began = (old.c.first_matched, old.c[member], old.c.peer, old.c.kind)
    number: sa.ColumnElement[int] = sa.func.row_number().over(order_by=began)
    if grouped:
        # One numbering for both: groups go on where the others end.
        last = op.get_bind().scalar(sa.text("SELECT coalesce(max(event), 0) FROM matches"))
        number += sa.literal(int(last or 0))
    # What a label says of its end was read from it whenever it was shown; the next round brings it here.
    numbered = sa.select(number, sa.literal(0), *(old.c[name] for name in names))
    op.execute(sa.insert(created).from_select(["event", "expires", *names], numbered))
    op.drop_table(f"old_{table}")
