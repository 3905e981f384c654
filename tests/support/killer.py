"""A node that kills itself, with SIGKILL, as soon as a certain transaction is on disk.

    python -m tests.support.killer HOME AFTER

`AFTER` counts the transactions that write, from the start of the process: 0 is the first.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import Connection

from mandorla_node.app.process import serve
from mandorla_node.home.folder import Home
from mandorla_node.store.database import Database

honest_write = Database.write


def main(home: Path, after: int) -> None:
    """Serve until killed."""
    numbers = count()

    @contextmanager
    def write(self: Database) -> Iterator[Connection]:
        with honest_write(self) as connection:
            yield connection
        if next(numbers) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    Database.write = write  # type: ignore[method-assign]
    asyncio.run(serve(Home.open(home)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
