"""Nodes that kill themselves, with SIGKILL, as soon as a certain transaction is on disk.

    python -m tests.support.killer

reads lines `AFTER HOME` from standard input and runs one node after another, each in a fork of this process.
For each it writes the pid, and later the exit code, to standard output. `AFTER` counts the transactions that
write, from the start of the node: 0 is the first. A fork spares each node the imports, which take longer than
all that it does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

from sqlalchemy import Connection

from mandorla_node.app.process import serve
from mandorla_node.home.folder import Home
from mandorla_node.store.database import Database
from tests.support.labs import NO_WATCH

honest_write = Database.write


@dataclass(frozen=True)
class DoomedNode:
    """A node that runs until it kills itself, or is stopped."""

    pid: int
    replies: IO[str]

    def wait(self) -> int:
        """Return the exit code, negative for a signal, once the node has ended."""
        return int(self.replies.readline())

    def stop(self) -> None:
        """Ask the node to stop."""
        os.kill(self.pid, signal.SIGTERM)


class Killer:
    """Starts doomed nodes, one at a time."""

    def __init__(self, requests: IO[str], replies: IO[str]) -> None:
        self._requests = requests
        self._replies = replies

    def start(self, home: Home, after: int) -> DoomedNode:
        """Start a node that is killed after a transaction; it logs to a file beside its home."""
        self._requests.write(f"{after} {home.path}\n")
        self._requests.flush()
        return DoomedNode(int(self._replies.readline()), self._replies)


@contextmanager
def killer() -> Iterator[Killer]:
    """Run the process that starts nodes: without a watch, so that each run writes the same transactions."""
    command = [sys.executable, "-m", "tests.support.killer"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | NO_WATCH, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Killer(process.stdin, process.stdout)


def serve_until_killed(home: Path, after: int) -> None:
    """Serve a home in this process."""
    numbers = count()

    @contextmanager
    def write(self: Database) -> Iterator[Connection]:
        with honest_write(self) as connection:
            yield connection
        if next(numbers) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    Database.write = write  # type: ignore[method-assign]
    with home.with_suffix(".log").open("ab") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    asyncio.run(serve(Home.open(home)))


def reply(number: int) -> None:
    """Write a number to standard output."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    """Start the nodes that standard input asks for."""
    for line in sys.stdin:
        after, _, home = line.rstrip("\n").partition(" ")
        if (pid := os.fork()) == 0:
            # The parent's pipes are the parent's.
            os.close(sys.stdin.fileno())
            serve_until_killed(Path(home), int(after))
            os._exit(0)
        reply(pid)
        _, status = os.waitpid(pid, 0)
        reply(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
