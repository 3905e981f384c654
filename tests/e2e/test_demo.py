"""`mandorla demo`: what it shows is true, and it leaves nothing behind however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mandorla_node.cli import main
from mandorla_node.client import Client
from mandorla_node.demo import lists, nodes
from mandorla_node.demo.steps import Finding, Result
from mandorla_protocol.errors import Code, NodeError
from tests.support import labs
from tests.support.patience import PATIENCE


@dataclass(frozen=True)
class Demo:
    """A demo that runs in a process of its own."""

    process: subprocess.Popen[str]

    def until(self, pattern: str) -> re.Match[str]:
        """Read its output up to a line that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the demo ended before {pattern!r}")


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    """Start the demo with `folder` for its temporary files."""
    # A shell that runs the tests behind itself has them ignore SIGINT, and whatever they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "mandorla_node.cli", "demo", "--quick", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    signal.signal(signal.SIGINT, before)
    try:
        yield Demo(process)
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def sessions() -> set[int]:
    """Return the sessions in which a process runs; each node leads one, with its workers in it."""
    listed = subprocess.run(["ps", "-eo", "sess=,stat="], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in listed.splitlines())
    return {int(session) for session, state in rows if not state.startswith("Z")}


def node_pids(running: Demo) -> set[int]:
    """Read the nodes' process ids from what the demo says."""
    return {int(pid) for pid in running.until(r"pids (\d+ \d+ \d+)")[1].split()}


def test_three_labs_find_exactly_what_their_lists_share(folder: Path) -> None:
    with demo(folder, "--json") as running:
        out, _ = running.process.communicate()
    account = json.loads(out)
    assert running.process.returncode == 0
    assert account["agrees"] is True
    assert [lab["name"] for lab in account["labs"]] == ["alder", "birch", "cedar"]
    assert [one["kind"] for one in account["rounds"]] == ["shared"] * 3 + ["watch"] * 2
    assert all(one["outcome"] == "committed" and one["matches"] > 0 for one in account["rounds"])
    assert all(one["bytes_sent"] > 0 and one["bytes_received"] > 0 for one in account["rounds"])
    assert len(account["findings"]) == 12
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_stopped_demo_leaves_nothing_behind(folder: Path, number: signal.Signals, status: int) -> None:
    with demo(folder) as running:
        pids = node_pids(running)
        assert pids <= sessions()
        running.process.send_signal(number)
        assert running.process.wait(PATIENCE) == status
        assert not pids & sessions()
    assert list(folder.iterdir()) == []


def test_the_nodes_of_a_killed_demo_end_by_themselves(folder: Path) -> None:
    with demo(folder) as running:
        pids = node_pids(running)
        running.process.kill()
        running.process.wait(PATIENCE)
        give_up = time.monotonic() + PATIENCE
        pause = threading.Event()
        while pids & sessions():
            assert time.monotonic() < give_up
            pause.wait(0.05)


def test_a_node_that_dies_ends_the_demo_with_its_name(folder: Path) -> None:
    with demo(folder) as running:
        first = min(node_pids(running))
        running.until("cedar ingests")
        os.kill(first, signal.SIGKILL)
        assert running.process.wait(PATIENCE) != 0
        assert first not in sessions()
    assert list(folder.iterdir()) == []


def test_a_node_that_never_answers_ends_the_demo_with_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_START_PATIENCE", 0.2)
    (folder / "alder.log").write_text("waiting for a disk")
    home = labs.make_home(folder, "alder")

    async def wait() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "60")
        try:
            async with Client(home.operator_socket, patience=0) as client:
                await nodes.until_ready(nodes.Node(home, process, client))
        finally:
            process.kill()
            await process.wait()

    with pytest.raises(NodeError) as caught:
        asyncio.run(wait())
    assert caught.value.code is Code.NODE_NOT_RUNNING
    assert caught.value.detail.startswith("the node of alder did not answer")
    assert caught.value.detail.endswith("waiting for a disk")


def test_missing_lists_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "MailChecker", None)
    with pytest.raises(SystemExit) as caught:
        main(["demo"])
    assert caught.value.code == Code.BAD_CONFIG.info.exit_status
    assert "pip install 'mandorla[demo]'" in " ".join(capsys.readouterr().err.split())


def test_a_wrong_result_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def steps(*_: object) -> Result:
        wrong = Finding("alder", "birch", "shared", frozenset({"a.example"}), frozenset({"b.example"}))
        return Result("portable", {}, {}, (), (wrong,))

    monkeypatch.setattr("mandorla_node.demo.demonstration.run_steps", steps)
    monkeypatch.setattr("mandorla_node.demo.report.print_report", lambda *_: None)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--quick"])
    assert caught.value.code == Code.CHECK_FAILED.info.exit_status
    assert capsys.readouterr().err.startswith("CHECK_FAILED\n")


def test_a_quick_demo_uses_a_part_of_the_real_lists() -> None:
    for whole, part in zip(lists.load(quick=False), lists.load(quick=True), strict=True):
        assert 0.05 < len(part.flagged) / len(whole.flagged) < 0.15
        assert set(part.flagged) <= set(whole.flagged)
