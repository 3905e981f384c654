"""`ingest -`: a stream that may never end reaches the node as it comes, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import io
import json
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from mandorla_node.cli.handlers import stream_ingest
from mandorla_node.client import Client
from mandorla_node.formats import Format, RowDefaults
from mandorla_node.home.folder import Home
from mandorla_protocol.errors import Code
from tests.support import labs
from tests.support.patience import PATIENCE

from .conftest import Run


@asynccontextmanager
async def streaming_to(
    home: Home, into: str, *options: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamWriter]]:
    """Run `mandorla ingest -` with a pipe to write to."""
    command = ["-m", "mandorla_node.cli", "ingest", "-", "--as", into, "--home", str(home.path), "--json"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    try:
        yield process, process.stdin
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def size(client: Client, reached: int) -> None:
    """Wait until there are so many indicators in all sets."""
    while sum(one.count for one in (await client.status()).sets) < reached:
        await labs.pause()


def test_the_first_row_of_a_slow_stream_matches_at_a_peer_before_the_last_is_written(folder: Path) -> None:
    homes = []
    for home in labs.make_labs(folder, "lab-a", "lab-b"):
        config = home.path / "mandorla.toml"
        narrow = '[watch]\ncollections = ["infrastructure"]\n'
        config.write_text(config.read_text().replace("[watch]\n", narrow))
        homes.append(Home.open(home.path))

    async def journey() -> None:
        async with (
            labs.serving(*homes, watch=True),
            Client(homes[1].path) as at_b,
            aclosing(at_b.follow()) as matches,
            streaming_to(homes[0], "flagged", "--type", "ipv4", "--severity", "high") as (process, pipe),
        ):
            await at_b.observe([("ipv4", value) for value in labs.addresses([1, 2])])
            pipe.write(b"198.18.0.1\n198.18.")
            assert (await anext(matches)).value == "198.18.0.1"
            pipe.write(b"0.2\nsentinel\n198.18.0.1\n")
            assert (await anext(matches)).value == "198.18.0.2"
            pipe.close()
            out, err = await process.communicate()
            assert process.returncode == 0
            report = json.loads(out)
            assert (report["added"], report["rejected_total"]) == (2, 1)
            assert report["known"] + report["duplicates"] == 1
            assert [row["line"] for row in report["rejected"]] == [3]
            assert b"sentinel" not in out + err

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_rows_wait_for_a_node_that_is_away_and_an_interrupted_stream_has_its_report(home: Home) -> None:
    async def journey() -> None:
        async with Client(home.path, PATIENCE) as client:
            with labs.node_process(home) as node:
                await client.status()
                async with streaming_to(home, "observed") as (process, pipe):
                    assert process.stderr
                    pipe.write(b'{"type": "ipv4", "value": "198.18.0.1"}\n')
                    await size(client, 1)
                    os.kill(node.pid, signal.SIGKILL)
                    node.wait()
                    pipe.write(b'{"type": "ipv4", "value": "198.18.0.2"}\n')
                    assert b"Rows wait. NODE_NOT_RUNNING" in await process.stderr.readline()
                    with labs.node_process(home):
                        await size(client, 2)
                        process.send_signal(signal.SIGINT)
                        out, err = await process.communicate()
                assert b"ingested again" in err
                assert process.returncode == 0
                report = json.loads(out)
                # What the node stored and could not acknowledge any more is known when it comes again.
                assert report["added"] + report["known"] == 2

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_rows_that_nobody_took_are_reported(
    run: Run, home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_ingest, "_LAST_PATIENCE", 0.1)
    path = folder / "rows"
    path.write_bytes(b"198.18.0.1\n198.18.0.2\n")
    with socket.socket(socket.AF_UNIX) as deaf, path.open() as rows:
        deaf.bind(str(home.operator_socket))
        deaf.listen()
        answering = threading.Thread(target=_hang_up, args=(deaf,), daemon=True)
        answering.start()
        monkeypatch.setattr(sys, "stdin", rows)
        ran = run("ingest", "-", "--as", "observed", "--type", "ipv4", "--home", home.path)
    assert ran.status == Code.NODE_NOT_RUNNING.info.exit_status
    said = " ".join(ran.err.split())
    assert "2 rows that were read were not ingested, from line 1 on" in said
    assert "0 added" in " ".join(ran.out.split())


def _hang_up(deaf: socket.socket) -> None:
    """Be there, and answer nobody."""
    while True:
        try:
            deaf.accept()[0].close()
        except OSError:
            return


@pytest.mark.parametrize(
    ("content", "written_as", "options"),
    [
        (b"198.18.0.1\n198.18.0.2\n", None, ["--type", "ipv4"]),
        (b'{"value": "198.18.0.1"}\n{"type": "domain", "value": "a.example"}\n', None, ["--type", "ipv4"]),
        (b"type,value\nipv4,198.18.0.1\nipv4,198.18.0.2\n", "csv", []),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_stream_that_ends_is_a_list(
    run: Run,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    written_as: str | None,
    options: list[str],
    strict: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    more = (["--format", written_as] if written_as else []) + (["--strict"] if strict else [])
    ran = run("ingest", "-", "--as", "observed", "--home", home.path, "--json", *options, *more)
    assert isinstance(ran.parsed, dict)
    assert (ran.parsed["added"], ran.parsed["rejected_total"]) == (2, 0)


def test_a_plain_stream_needs_a_type(run: Run, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"198.18.0.1\n")))
    ran = run("ingest", "-", "--as", "observed", "--home", home.path)
    assert ran.status == Code.BAD_INPUT.info.exit_status
    assert "--type" in ran.err


def test_no_more_is_read_than_can_wait() -> None:
    class Endless:
        """A source without an end."""

        taken = 0

        def read(self, size: int, /) -> bytes:
            self.taken += 1
            return b"198.18.0.1\n" * (size // 11)

    source, rows = Endless(), queue.Queue[stream_ingest._Item](2_000)
    reading = (source, Format.PLAIN, RowDefaults("ipv4"), rows)
    threading.Thread(target=stream_ingest._read, args=reading, daemon=True).start()
    while not rows.full():
        pass
    assert source.taken < 5
