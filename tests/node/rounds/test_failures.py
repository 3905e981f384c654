"""What goes wrong around a node has a name, and loses nothing: networks, clocks, and work that piles up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.app.node import running
from mandorla_node.audit.bundle import write_bundle
from mandorla_node.home.folder import Home
from mandorla_node.rounds import deadlines, standing_querier, standing_round, watcher
from mandorla_node.store.matches import Matches
from mandorla_protocol.audit.__main__ import verify_files
from mandorla_protocol.audit.findings import Claim
from mandorla_protocol.engine.loader import load_engine
from tests.support.labs import WATCH, addresses, answering, free_port, make_labs, matched, pause, pin, serving
from tests.support.network import Between
from tests.support.patience import PATIENCE
from tests.support.watch import Stub, asking, take, until_matched, until_standing, watching_infrastructure

HOUR = 3600


@pytest.fixture(autouse=True)
def _in_less_than_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let half a second be what is half a minute elsewhere."""
    for module in (standing_querier, standing_round):
        monkeypatch.setattr(module, "SUBSCRIBED", 0.3)
    monkeypatch.setattr(deadlines, "LAST_PATIENCE", 0.3)
    monkeypatch.setattr(watcher, "_LONGEST_WAIT", 0.5)
    monkeypatch.setattr(watcher, "_PATIENCE", 0.5)


class Apart(NamedTuple):
    """Two labs with a network between them, each way."""

    at_a: Stub
    at_b: Stub
    ways: list[Between]


@asynccontextmanager
async def apart(folder: Path, limits: str = "") -> AsyncIterator[Apart]:
    """Run two nodes that reach each other through a network that can be cut."""
    homes, ways = [], []
    async with AsyncExitStack() as stack:
        for name in ("lab-a", "lab-b"):
            inner, outer = (f"127.0.0.1:{free_port()}" for _ in range(2))
            Home.create(folder / name, name, inner, outer)
            home = watching_infrastructure(Home.open(folder / name), "workers = 1\n")
            config = home.path / "mandorla.toml"
            config.write_text(config.read_text().replace("[limits]\n", f"[limits]\n{limits}"))
            homes.append(Home.open(home.path))
            ways.append(Between(inner))
            await stack.enter_async_context(ways[-1].listening(outer))
        pin(homes[0], homes[1])
        pin(homes[1], homes[0])
        yield Apart(*await stack.enter_async_context(serving(*homes, watch=True)), ways)


def work() -> int:
    """Count what this process does for nodes: tasks, and threads."""
    coroutines = [str(getattr(task.get_coro(), "cr_code", "")) for task in asyncio.all_tasks()]
    tasks = [code for code in coroutines if "mandorla_node" in code]
    return len(tasks) + threading.active_count()


def test_a_peer_that_is_there_in_name_only_costs_nothing_and_is_watched_again(folder: Path) -> None:
    async def journey() -> None:
        async with apart(folder, "call_timeout = 2\nhandshake_timeout = 1\n") as (at_a, at_b, ways):
            await take(at_b, addresses(range(4)), "observed")
            await take(at_a, addresses([0]), "flagged")
            await until_matched(at_b, addresses([0]))
            usual, joined = work(), [way.joined.count for way in ways]
            for way in ways:
                way.fall_silent()
            await take(at_a, addresses([1]), "flagged")
            # Each attempt is a new connection.
            for way, before in zip(ways, joined, strict=True):
                assert await way.joined.wait_beyond(before + 3, PATIENCE)
            assert await matched(at_b, kind=WATCH) == addresses([0])
            # Neither lab is held up by the other's silence.
            answer = await at_b.Check(asking("198.18.0.9"))
            assert not answer.results[0].compared_with
            assert work() < usual + 12
            for way in ways:
                way.speak()
            await until_matched(at_b, addresses([0, 1]))
            await take(at_a, addresses([2]), "flagged")
            await until_matched(at_b, addresses([0, 1, 2]))

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_network_that_breaks_for_a_moment_ends_no_round(folder: Path) -> None:
    async def journey() -> None:
        async with apart(folder) as (at_a, at_b, ways):
            await take(at_b, addresses(range(4)), "observed")
            await take(at_a, addresses([0]), "flagged")
            await until_matched(at_b, addresses([0]))
            standing = await until_standing(at_a)
            for number in range(1, 4):
                for way in ways:
                    way.cut()
                await take(at_a, addresses([number]), "flagged")
                await until_matched(at_b, addresses(range(number + 1)))
            assert await until_standing(at_a) == standing

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000

    def __call__(self) -> int:
        """Return the time."""
        return self.now


@pytest.mark.parametrize("hours", [5, -5])
def test_a_clock_that_is_hours_off_is_named_and_nothing_is_lost(folder: Path, hours: int) -> None:
    a, b = (watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b"))
    clocks = [Clock(), Clock()]

    async def codes(at: Stub) -> set[str]:
        status = await at.Status(operator_pb2.StatusRequest(now=True))
        return {one.code for one in status.rounds if one.state == "aborted"}

    async def journey() -> None:
        async with running(a, clocks[0], watch=True), running(b, clocks[1], watch=True):
            at_a, at_b = await answering(a), await answering(b)
            await take(at_b, addresses(range(3)), "observed")
            await take(at_a, addresses([0]), "flagged")
            await until_matched(at_b, addresses([0]))
            clocks[0].now += hours * HOUR
            await take(at_b, ["198.18.7.7"], "observed")
            await take(at_a, addresses([1]), "flagged")
            if hours > 0:
                while "HEADER_EXPIRED" not in await codes(at_a) | await codes(at_b):
                    await pause()
            clocks[0].now -= hours * HOUR
            await take(at_a, addresses([2]), "flagged")
            await until_matched(at_b, addresses([0, 1, 2]))
            # And where the whole world is later.
            for clock in clocks:
                clock.now += 5 * HOUR
            await take(at_b, addresses([3]), "observed")
            await take(at_a, addresses([3]), "flagged")
            await until_matched(at_b, addresses(range(4)))

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    files = []
    for home in (a, b):
        files.append(str(home.path.with_suffix(".audit")))
        store = home.open_store()
        write_bundle(home, store, Path(files[-1]), clocks[0])
        store.close()
    # What the lab logged, and what it cosigned for the other, bears its clock's time: an auditor is told.
    assert {one.claim for one in verify_files(files, load_engine("auto")).findings} <= {Claim.TIMED}


def test_work_that_piles_up_is_caught_up_with(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to be compared takes no more room than a thousand steps: then all is compared at once."""
    monkeypatch.setattr(standing_querier, "_BEHIND", 3)
    homes = [watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b")]
    renewed, go_on = threading.Event(), threading.Event()
    renew, count = Matches.renew, 12

    def slowly(self: Matches, *arguments: Any) -> tuple[int, int]:
        renewed.set()
        go_on.wait(PATIENCE)
        return renew(self, *arguments)

    async def journey() -> None:
        async with serving(*homes, watch=True) as (at_a, at_b):
            await take(at_b, addresses(range(count)), "observed")
            await take(at_a, addresses([0]), "flagged")
            await until_matched(at_b, addresses([0]))
            standing = await until_standing(at_b)
            monkeypatch.setattr(Matches, "renew", slowly)
            for number in range(1, count):
                await take(at_a, addresses([number]), "flagged")
                await take(at_b, [f"198.18.9.{number}"], "observed")
            await asyncio.to_thread(renewed.wait, PATIENCE)
            assert await matched(at_b, kind=WATCH) == addresses([0])
            go_on.set()
            await until_matched(at_b, addresses(range(count)))
            assert await until_standing(at_b) == standing

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
