"""The names of a home's pinned peers, at a glance: for a shell that completes what a person types.

The store would take most of a second to load, bring its schema up to date, and wait for whoever writes. This
reads one column, changes nothing, and gives up at once.
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
_PATIENCE_S: Final = 2
_SAFE: Final = re.compile(r"[a-z0-9-]+")
"""What a name is made of. Some shells evaluate what they are given, so nothing else passes."""


def peer_names(home: Path) -> list[str]:
    """Return the names of the pinned peers; none where the home or its store cannot be read."""
    try:
        url = _url(home)
        names = _from_postgres(url) if url else _from_sqlite(home / _STORE)
    except (OSError, ValueError, sqlite3.Error):
        return []
    return [name for name in names if _SAFE.fullmatch(name)]


def _url(home: Path) -> str:
    """Return the address of the home's database, empty for a file; the environment wins, as always."""
    config = tomllib.loads((home / _CONFIG).read_text("utf-8"))
    store = config.get("store")
    configured = store.get("url") if isinstance(store, dict) else None
    return os.environ.get("MANDORLA_STORE__URL") or str(configured or "")


def _from_sqlite(path: Path) -> list[str]:
    beside = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    # Without both files nobody has it open, and SQLite would make them: then it is read as it lies there.
    how = "mode=ro" if all(file.exists() for file in beside) else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=0.1)) as connection:
        return [str(name) for (name,) in connection.execute(_STATEMENT)]


def _from_postgres(url: str) -> list[str]:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError:
        return []
    limits = f"-c default_transaction_read_only=on -c statement_timeout={_PATIENCE_S}s"
    try:
        with psycopg.connect(
            url.replace("postgresql+psycopg:", "postgresql:", 1),
            connect_timeout=_PATIENCE_S,
            options=limits,
        ) as connection:
            return [str(name) for (name,) in connection.execute(_STATEMENT)]
    except psycopg.Error:
        return []
