"""Bring an older schema to the newest version."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from mandorla_protocol.errors import Code, NodeError

from .schema import MIGRATIONS


def upgrade(connection: Connection) -> None:
    """Run the migrations that a store lacks, within the caller's transaction.

    Raises NodeError(STORE_FAILED) if a newer version of the node wrote the store, or its version is unknown.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if not known.issuperset(MigrationContext.configure(connection).get_current_heads()):
        detail = "the store was written by a newer version of mandorla; install that version or a later one"
        raise NodeError(Code.STORE_FAILED, detail)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise NodeError(Code.STORE_FAILED, f"the database refused: {type(error).__name__}") from None
