"""The databases that can hold a store, for tests: SQLite, and a PostgreSQL server of their own.

The server is Debian's, on a Unix socket in a temporary folder; all tests of a process share one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mandorla_node.core.clock import Clock
from mandorla_node.crypto.vault import Vault
from mandorla_node.store import Store
from mandorla_node.store.database import Database
from tests.support.patience import PATIENCE

BACKENDS = ("sqlite", "postgresql")
_USER = "mandorla"
_TEMPLATE = "empty_store"
_KEEPER = """
"$1" start --wait --pgdata="$2" --log="$3" --options="$4" > /dev/null < /dev/null && echo up && read -r _
"$1" stop --wait --mode=immediate --pgdata="$2" > /dev/null < /dev/null
rm -rf "$2"
"""
_numbers = count()


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


class Server:
    """A PostgreSQL server for this process alone."""

    def __init__(self) -> None:
        """Start the server. Raises RuntimeError if it does not start."""
        binaries = programs()
        if binaries is None:
            raise RuntimeError("no PostgreSQL")
        self.folder = Path(tempfile.mkdtemp(prefix="md-pg-"))
        self.data = self.folder / "data"
        # The server refuses to run as root.
        self._user = _other_user() if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._run(
            binaries / "initdb",
            f"--pgdata={self.data}",
            f"--username={_USER}",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            # Not the order of bytes: the store must not depend on the administrator's choice.
            "--locale=C.UTF-8",
        )
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            # Nobody needs the data after the tests.
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._control = binaries / "pg_ctl"
        # The server stops when its input ends, and so with this process, even if that is killed.
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", self._control, self.data, self.folder / "log", options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **self._identity(),
        )
        if self._keeper.stdout is None or not self._keeper.stdout.readline():
            raise RuntimeError("PostgreSQL does not come up")
        Database(self.folder, self.url("postgres")).close()
        self.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE postgres", to="template1")

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://{_USER}@/{database}?host={self.folder}"

    def database(self, template: str = _TEMPLATE) -> str:
        """Make a database with the newest schema, or as a copy of a template; return its URL."""
        name = f"store{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY", to="template1")
        return self.url(name)

    def execute(self, statement: str, to: str) -> None:
        """Execute a statement outside any transaction."""
        import psycopg

        with psycopg.connect(self.url(to), autocommit=True) as connection:
            connection.execute(statement)

    def restart(self) -> None:
        """Restart the server in the way that looks like a crash to its clients."""
        self._run(self._control, "restart", "--wait", "--mode=immediate", f"--pgdata={self.data}")

    def stop(self) -> None:
        """Stop the server and remove its data."""
        self._keeper.communicate(timeout=PATIENCE)
        shutil.rmtree(self.folder)

    def _run(self, *command: object) -> None:
        ran = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            timeout=PATIENCE,
            check=False,
            **self._identity(),
        )
        if ran.returncode:
            raise RuntimeError(f"{command[0]} ended with {ran.returncode}")

    def _identity(self) -> dict[str, Any]:
        user = self._user
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def _other_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@cache
def _server() -> Server:
    return Server()


def server() -> Server:
    """Return the server of this process, and start it if needed; skip the test without PostgreSQL."""
    if programs() is None:
        pytest.skip("no PostgreSQL: `make test-tools` installs it where apt can")
    return _server()


def stop_server() -> None:
    """Stop the server of this process, if there is one."""
    if _server.cache_info().currsize:
        _server().stop()
        _server.cache_clear()


@dataclass
class Databases:
    """Make stores in one kind of database: one database for each folder."""

    name: str
    _urls: dict[Path, str] = field(default_factory=dict)

    def url(self, folder: Path) -> str:
        """Return the value of `[store] url` for a home in a folder."""
        if self.name == "sqlite":
            return ""
        if folder not in self._urls:
            self._urls[folder] = server().database()
        return self._urls[folder]

    def adopt(self, folder: Path, url: str) -> None:
        """Use an existing database for a folder."""
        self._urls[folder] = url

    def open(self, folder: Path, vault: Vault, clock: Clock) -> Store:
        """Open the store of a folder."""
        return Store.open(folder / "mandorla.db", vault, clock, self.url(folder))

    def database(self, folder: Path) -> Database:
        """Open the database of a folder."""
        return Database(folder / "mandorla.db", self.url(folder))

    def bytes_of(self, folder: Path) -> bytes:
        """Return the bytes on disk of a folder's database, without PostgreSQL's write-ahead log."""
        if self.name == "sqlite":
            paths = sorted(folder.glob("mandorla.db*"))
        else:
            server().execute("CHECKPOINT", to="template1")
            paths = [path for path in sorted(server().data.glob("base/*/*")) if path.is_file()]
        return b"".join(path.read_bytes() for path in paths)

    def forget(self) -> None:
        """Drop the databases, even those in use."""
        for url in self._urls.values():
            server().execute(f"DROP DATABASE {url.split('/')[3].split('?')[0]} WITH (FORCE)", to="template1")
        self._urls.clear()


def of_kind(name: str) -> Iterator[Databases]:
    """Yield one kind of database, and drop all databases afterwards: the body of a fixture."""
    made = Databases(name)
    if made.name == "postgresql":
        server()
    yield made
    made.forget()
