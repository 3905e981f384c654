"""The names of a home's pinned peers, for the completion of commands in a shell.

To open the store takes most of a second, migrates its schema, and waits for writers. A completion reads one
column instead, changes nothing, and does not wait.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

_CONFIG: Final = "mandorla.toml"
_STORE: Final = "mandorla.db"
_STATEMENT: Final = "SELECT name FROM peers ORDER BY name"
_TIMEOUT_S: Final = 2
_SAFE: Final = re.compile(r"[a-z0-9-]+")
"""The characters of a name. Some shells evaluate a completion, so no other name is returned."""


def peer_names(home: Path) -> list[str]:
    """Return the names of the pinned peers; an empty list if the home or its store cannot be read."""
    try:
        url = _url(home)
        names = _from_postgres(url) if url else _from_sqlite(home / _STORE)
    except (OSError, ValueError, sqlite3.Error):
        return []
    return [name for name in names if _SAFE.fullmatch(name)]


def _url(home: Path) -> str:
    """Return the URL of the home's database, empty for SQLite; the environment wins over the file."""
    config = tomllib.loads((home / _CONFIG).read_text("utf-8"))
    store = config.get("store")
    configured = store.get("url") if isinstance(store, dict) else None
    return os.environ.get("MANDORLA_STORE__URL") or str(configured or "")


def _from_sqlite(path: Path) -> list[str]:
    companions = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    # Without both files no process has the database open, and SQLite would create them. An immutable database
    # is read without them.
    mode = "mode=ro" if all(file.exists() for file in companions) else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=0.1)) as connection:
        return [str(name) for (name,) in connection.execute(_STATEMENT)]


def _from_postgres(url: str) -> list[str]:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError:
        return []
    options = f"-c default_transaction_read_only=on -c statement_timeout={_TIMEOUT_S}s"
    try:
        with psycopg.connect(
            url.replace("postgresql+psycopg:", "postgresql:", 1),
            connect_timeout=_TIMEOUT_S,
            options=options,
        ) as connection:
            return [str(name) for (name,) in connection.execute(_STATEMENT)]
    except psycopg.Error:
        return []
