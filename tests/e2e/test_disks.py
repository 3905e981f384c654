"""A disk that is full, or takes nothing, has a name; and nothing is lost when it takes something again."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code
from tests.support.labs import addresses, answering, code_of, make_labs, node_process, pause
from tests.support.patience import PATIENCE
from tests.support.watch import Stub, asking, open_rounds, take, until_matched, watching_infrastructure


@contextmanager
def full_disk(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let no file of a process grow beyond a page: what it writes fails as it does on a full disk."""
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)


async def health(at: Stub) -> str:
    return (await at.Status(operator_pb2.StatusRequest(now=True))).health


async def until_health(at: Stub, wanted: str) -> None:
    while await health(at) != wanted:
        await pause()


def test_a_full_disk_is_named_and_nothing_is_lost(folder: Path) -> None:
    a, b = (watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b"))
    log = folder / "lab-b.log"

    async def journey(process: subprocess.Popen[bytes]) -> None:
        at_a, at_b = await answering(a), await answering(b)
        await take(at_b, addresses(range(4)), "observed")
        await take(at_a, addresses([0]), "flagged")
        await until_matched(at_b, addresses([0]))
        known = asking(addresses([0])[0])
        await at_b.Check(known)
        with full_disk(process):
            for refused in (take(at_b, addresses([9]), "observed"), at_b.Check(asking("198.18.8.8"))):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await refused
                assert code_of(caught.value) == "STORE_FAILED"
            await until_health(at_b, "the store cannot be written")
            await take(at_a, addresses([1]), "flagged")
            # The round cannot go on, and lab-b cannot even write that it is over.
            while await open_rounds(at_a):
                await pause()
            # What is known needs no disk.
            answer = await at_b.Check(known)
            assert [match.peer for match in answer.results[0].matches] == ["lab-a"]
        await until_health(at_b, "serving")
        await take(at_b, addresses([9]), "observed")
        await take(at_a, addresses([2, 9]), "flagged")
        await until_matched(at_b, addresses([0, 1, 2, 9]))
        # Whatever ended while no end could be written has one.
        assert len(await open_rounds(at_b)) == 1

    with node_process(a, watch=True), node_process(b, log, watch=True) as process:
        asyncio.run(asyncio.wait_for(journey(process), PATIENCE))
    said = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"error"} == {one["level"] for one in said if one.get("health") == "the store cannot be written"}
    assert not [one for one in said if one.get("code") == "INTERNAL"]


def _mounts() -> bool:
    command = ["unshare", "--mount", "true"]
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(
    os.geteuid() == 0 and not _mounts(), reason="root may write anywhere, and cannot mount here"
)
def test_a_home_that_cannot_be_written_is_named(folder: Path) -> None:
    (a,) = make_labs(folder, "lab-a")
    serve = [sys.executable, "-m", "mandorla_node.cli", "serve", "--home", str(a.path)]
    if os.geteuid() == 0:
        script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        serve = ["unshare", "--mount", "sh", "-c", script, str(a.path), *serve]
    else:
        for path in (a.path / "mandorla.db", a.path):
            path.chmod(0o500)
    ran = subprocess.run(serve, capture_output=True, text=True, timeout=PATIENCE, check=False)
    a.path.chmod(0o700)
    assert ran.returncode == Code.STORE_FAILED.info.exit_status
    assert "STORE_FAILED" in ran.stderr
    assert "Traceback" not in ran.stderr
