"""Schemas of stores as versions of the node wrote them: what upgrades begin with.

    python -m tests.support.schemas

writes the file of the newest schema for each database, beside those of older ones, which never change; and
the one from which a node makes a new SQLite file.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, create_mock_engine

from mandorla_node.store.backends.postgres import guards
from mandorla_node.store.backends.sqlite import SCHEMA
from mandorla_node.store.migrator import upgrade
from mandorla_node.store.schema import METADATA, MIGRATIONS

FOLDER = Path(__file__).parents[1] / "node" / "store" / "schemas"
VERSION = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"


def revisions() -> list[str]:
    """Return every revision, oldest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def head() -> str:
    """Return the newest revision."""
    return revisions()[-1]


def schema(database: str, revision: str) -> str:
    """Return the statements that make a database as a version of the node left it."""
    return (FOLDER / f"{database}-{revision}.sql").read_text()


def of_sqlite(connection: sqlite3.Connection) -> str:
    """Return the statements that made what a database has."""
    rows = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%' ORDER BY rowid"
    )
    return "".join(f"{sql};\n" for (sql,) in rows)


def migrated(path: Path) -> None:
    """Let the migrations, one after another, make a new SQLite file."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection)
    engine.dispose()


def of_postgres() -> str:
    """Return the statements that make the newest schema in PostgreSQL."""
    said: list[str] = []

    def note(statement: Any, *_: object, **__: object) -> None:
        said.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine("postgresql+psycopg://", note)
    METADATA.create_all(engine, checkfirst=False)
    return "".join(f"{statement.strip()};\n" for statement in (*said, *guards()))


def main() -> None:
    """Write the newest schemas."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mandorla.db"
        migrated(path)
        with closing(sqlite3.connect(path)) as newest:
            statements = of_sqlite(newest)
    for file in (FOLDER / f"sqlite-{head()}.sql", SCHEMA):
        file.write_text(statements)
    (FOLDER / f"postgresql-{head()}.sql").write_text(of_postgres())


if __name__ == "__main__":
    main()
