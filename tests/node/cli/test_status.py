"""`status` and `top`: a node that runs, one that does not, and a terminal that is drawn on."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from mandorla_node.home.folder import Home
from mandorla_node.store import IndicatorSet
from mandorla_protocol.errors import Code
from tests.support import labs
from tests.support.patience import PATIENCE

from .conftest import Run, serving


@pytest.fixture(scope="module")
def matched() -> Iterator[Home]:
    """A lab whose node runs, after one round with another; neither keeps a watch."""
    with tempfile.TemporaryDirectory(prefix="md-") as folder, ExitStack() as stack:
        homes = labs.make_labs(Path(folder), "alder", "birch")
        for home in homes:
            config = home.path / "mandorla.toml"
            config.write_text(config.read_text().replace("[watch]", "[watch]\nenabled = false"))
            labs.ingest(home, labs.addresses(range(9)))
        labs.ingest(homes[0], labs.addresses(range(50, 54)), IndicatorSet.OBSERVED)
        for home in homes:
            stack.enter_context(serving(home))

        async def play() -> None:
            operator = await labs.answering(homes[0])
            assert (await labs.run_round(operator, "birch")).matches == 9

        asyncio.run(play())
        yield homes[0]


def test_status_tells_what_an_operator_on_call_asks(run: Run, matched: Home) -> None:
    shown = run("status", "--home", matched.path)
    assert shown.status == 0
    for word in ("serving", "engine", "birch", "ipv4", "committed", " days", "2,096,896", "backlog for"):
        assert word in shown.out
    said = run("status", "--home", matched.path, "--json").parsed
    assert isinstance(said, dict)
    assert said["health"] == "serving"
    (peer,) = said["peers"]
    (budget,) = peer["budgets"]
    assert (budget["epoch"], budget["spent"], budget["table_entries"]) == (1, 256, 256)
    assert budget["ends"] > said["started"]
    assert [(one["collection"], one["entries"]) for one in peer["tables"]] == [("infrastructure", 256)]
    assert said["backlog"] == [
        {
            "peer": "birch",
            "collection": "infrastructure",
            "unpublished": 0,
            "uncompared_flagged": 0,
            "uncompared_observed": 4,
        }
    ]
    assert (said["open_rounds"], said["comparing"]) == ([], 0)
    assert said["load"]["calls"] > 0
    assert said["load"]["memory_bytes"] > 1 << 20


def test_status_of_a_stopped_node_says_so_and_shows_its_store(run: Run, home: Home) -> None:
    labs.ingest(home, labs.addresses(range(7)))
    shown = run("status", "--home", home.path)
    assert shown.status == Code.NODE_NOT_RUNNING.info.exit_status
    assert "stopped" in shown.out
    assert "ipv4" in shown.out
    assert "No peers yet" in shown.out
    assert "mandorla serve --home" in shown.err
    said = run("status", "--home", home.path, "--json")
    assert said.status == Code.NODE_NOT_RUNNING.info.exit_status
    assert isinstance(said.parsed, dict)
    assert (said.parsed["health"], said.parsed["started"], said.parsed["engine"]) == ("stopped", None, None)
    assert said.parsed["sets"] == [{"type": "ipv4", "set": "flagged", "count": 7}]


def test_top_needs_a_terminal(run: Run, matched: Home) -> None:
    ran = run("top", "--home", matched.path)
    assert ran.status == Code.BAD_INPUT.info.exit_status
    assert "mandorla status" in ran.err


_ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "mandorla_node.cli", *sys.argv[1:]])
"""


class Terminal:
    """A command on a terminal of its own, which sends it SIGINT at Ctrl-C."""

    def __init__(self, *arguments: str) -> None:
        self._ours, self._its = pty.openpty()
        self._settings = termios.tcgetattr(self._its)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_ITS_TERMINAL, *arguments],
            stdin=self._its,
            stdout=self._its,
            stderr=self._its,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
            start_new_session=True,
        )
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
        os.close(self._its)

    def until(self, seen: Callable[[str], bool]) -> None:
        """Read until what was drawn is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not seen(self.seen):
            assert time.monotonic() < deadline, self.seen[-500:]
            self._read(0.2)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def end(self) -> int:
        """Read to the end; return the exit status, once the terminal is found as it was."""
        self.until(lambda _: self._process.poll() is not None)
        while self._read(0):
            pass
        assert termios.tcgetattr(self._its) == self._settings, "its keys are read one by one still"
        return self._process.wait()

    def _read(self, patience: float) -> bool:
        if not select.select([self._ours], [], [], patience)[0]:
            return False
        self.seen += os.read(self._ours, 65_536).decode("utf-8", "replace")
        return True


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_top_draws_until_it_is_told_to_stop(matched: Home, key: bytes) -> None:
    with Terminal("top", "--home", str(matched.path), "--every", "0.2") as terminal:
        wanted = ("alder", "serving", "CPU", "birch", "infrastructure", "committed")
        terminal.until(lambda seen: all(word in seen for word in wanted))
        terminal.type(b"x")  # which means nothing
        terminal.until(lambda seen: seen.count("alder") >= 3)
        terminal.type(key)
        assert terminal.end() == 0
    assert terminal.seen.endswith("\x1b[?25h\x1b[?1049l"), "the cursor and what was there before are back"
    assert "Traceback" not in terminal.seen


def test_top_of_a_stopped_node_says_how_to_start_it(home: Home) -> None:
    with Terminal("top", "--home", str(home.path)) as terminal:
        assert terminal.end() == Code.NODE_NOT_RUNNING.info.exit_status
    assert "mandorla serve --home" in terminal.seen


def test_top_needs_no_key(run: Run, folder: Path) -> None:
    """Only the node opens what is sealed; the terminal of the operator on call may lack the credential."""
    home, key = folder / "sealed", folder / "sealed.key"
    where = ("--key-source", "file", "--key-path", key)
    assert run("init", home, "--lab", "alder", *where).status == 0
    key.unlink()
    with Terminal("top", "--home", str(home)) as terminal:
        assert terminal.end() == Code.NODE_NOT_RUNNING.info.exit_status, terminal.seen
