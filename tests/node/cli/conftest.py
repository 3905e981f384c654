"""Nodes in processes of their own, for the commands under test."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mandorla_node.client import node_answers
from mandorla_node.home.folder import Home
from tests.support import labs
from tests.support.commands import Ran, Run
from tests.support.patience import PATIENCE

__all__ = ["Ran", "Run"]


@contextmanager
def serving(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """Run `mandorla serve` in a process of its own, until the context is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mandorla_node.cli", "serve", "--home", str(home.path), "--exit-with-parent"],
        stdin=subprocess.PIPE,
        env=os.environ | labs.NO_WATCH,
    )
    try:
        waited = threading.Event()
        for _ in range(int(PATIENCE / 0.05)):
            if node_answers(home.operator_socket) or process.poll() is not None:
                break
            waited.wait(0.05)
        assert process.poll() is None
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(PATIENCE)


@pytest.fixture
def home(folder: Path) -> Home:
    """The home of a node that does not run."""
    return labs.make_home(folder, "alder")


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Home]]:
    """Two labs whose nodes run: alder and birch."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="md-") as folder, ExitStack() as stack:
        homes = labs.make_labs(Path(folder), "alder", "birch")
        for home in homes:
            stack.enter_context(serving(home))
        yield homes
