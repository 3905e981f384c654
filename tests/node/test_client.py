"""A gateway's client: what it answers, and that it outlives its node."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from mandorla_node.app.node import running
from mandorla_node.client import Client, Code, FoundMatch, Label, MandorlaError, Reason, Severity
from mandorla_node.home.folder import Home
from tests.support.labs import addresses, make_home, make_labs, node_process, record_matches, serving
from tests.support.patience import PATIENCE

LABEL = Label(reason=Reason.DISTILLATION, severity=Severity.HIGH, confidence=90)


def watching_infrastructure(home: Home) -> Home:
    config = home.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[watch]\n", '[watch]\ncollections = ["infrastructure"]\n'))
    return Home.open(home.path)


def two_labs(folder: Path) -> list[Home]:
    return [watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b")]


def ipv4(*numbers: int) -> list[tuple[str, str]]:
    return [("ipv4", value) for value in addresses(numbers)]


@asynccontextmanager
async def clients(*homes: Home) -> AsyncIterator[list[Client]]:
    async with asyncio.timeout(PATIENCE), serving(*homes, watch=True):
        made = [Client(home.path) for home in homes]
        try:
            yield made
        finally:
            for one in made:
                await one.__aexit__(None, None, None)


async def following(client: Client, count: int, after: int = 0) -> list[FoundMatch]:
    found: list[FoundMatch] = []
    async with aclosing(client.follow(after)) as matches:
        async for match in matches:
            found.append(match)
            if len(found) == count:
                break
    return found


def test_a_flag_at_one_lab_reaches_the_gateway_of_another(folder: Path) -> None:
    async def journey() -> None:
        async with clients(*two_labs(folder)) as (at_a, at_b):
            report = await at_b.observe(ipv4(0, 1, 2))
            assert (report.added, report.known) == (3, 0)
            first = asyncio.create_task(following(at_b, 1))
            await at_a.flag(ipv4(1), LABEL)
            (match,) = await first
            assert (match.type, match.value, match.peer, match.kind) == (
                "ipv4",
                "198.18.0.1",
                "lab-a",
                "watch",
            )
            assert (match.label.severity, match.label.confidence) == (Severity.HIGH, 90)
            await at_a.flag(ipv4(2), LABEL)
            (later,) = await following(at_b, 1, after=match.event)
            assert later.value == "198.18.0.2"
            assert [one.event async for one in at_b.matches()] == [match.event, later.event]
            verdict = await at_b.check("ipv4", "198.18.0.1")
            assert verdict.flagged_by == {"lab-a"}
            assert not verdict.flagged_here
            assert verdict.compared_with == ("lab-a",)

    asyncio.run(journey())


def test_verdicts_come_in_the_order_of_the_questions(folder: Path) -> None:
    async def journey() -> None:
        async with clients(make_home(folder, "lab-a")) as (client,):
            await client.flag([("domain", "evil.example")], LABEL)
            asked = [("domain", "new.example"), ("domain", "EVIL.example."), ("ipv4", "198.18.0.1")]
            verdicts = await client.check_many(asked)
            assert [(one.type, one.value, one.flagged_here) for one in verdicts] == [
                ("domain", "new.example", False),
                ("domain", "evil.example", True),
                ("ipv4", "198.18.0.1", False),
            ]
            many = await asyncio.gather(*(client.check("domain", f"d{n % 7}.example") for n in range(100)))
            assert [one.value for one in many] == [f"d{n % 7}.example" for n in range(100)]

    asyncio.run(journey())


def test_what_is_no_indicator_is_an_error_of_check_and_a_rejected_row_of_the_others(folder: Path) -> None:
    async def journey() -> None:
        async with clients(make_home(folder, "lab-a")) as (client,):
            for kind, value, code in (
                ("ipv4", "sentinel", Code.BAD_INDICATOR),
                ("shoe-size", "44", Code.UNKNOWN_TYPE),
            ):
                with pytest.raises(MandorlaError) as caught:
                    await client.check(kind, value)
                assert caught.value.code is code
                assert "sentinel" not in caught.value.diagnostics()
            report = await client.flag([("ipv4", "198.18.0.1"), ("ipv4", "sentinel")], LABEL)
            assert (report.added, report.rejected_total) == (1, 1)
            assert [(row.line, row.code) for row in report.rejected] == [(2, Code.BAD_INDICATOR)]
            assert "sentinel" not in repr(report)
            held = await client.flag([("ipv4", "8.8.8.8")], LABEL)
            assert (held.added, held.held_back) == (0, 1)

    asyncio.run(journey())


def test_a_node_that_is_away_has_a_code_at_once_or_after_patience(folder: Path) -> None:
    home = make_home(folder, "lab-a")

    async def journey() -> None:
        for patience in (0.0, 0.3):
            async with Client(home.operator_socket, patience) as client:
                started = asyncio.get_running_loop().time()
                with pytest.raises(MandorlaError) as caught:
                    await client.check("ipv4", "198.18.0.1")
                assert caught.value.code is Code.NODE_NOT_RUNNING
                assert asyncio.get_running_loop().time() - started >= patience

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_calls_and_followers_outlive_a_node_that_is_killed(folder: Path) -> None:
    lab_a, lab_b = make_labs(folder, "lab-a", "lab-b")
    record_matches(lab_a, lab_b, addresses([1]))

    async def journey() -> None:
        async with Client(lab_a.path, PATIENCE) as client, aclosing(client.follow()) as matches:
            with node_process(lab_a) as process:
                first = await anext(matches)
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            asked = asyncio.create_task(client.check("ipv4", "198.18.0.9"))
            waiting = asyncio.create_task(anext(matches))
            record_matches(lab_a, lab_b, addresses([2]))
            with node_process(lab_a):
                assert (await asked).value == "198.18.0.9"
                later = await waiting
            assert [(one.value, one.event) for one in (first, later)] == [
                ("198.18.0.1", first.event),
                ("198.18.0.2", first.event + 1),
            ]

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_node_stops_though_somebody_follows(folder: Path) -> None:
    home = make_home(folder, "lab-a")

    async def journey() -> None:
        async with Client(home.path) as client:
            async with running(home):
                await client.status()
                matches = client.follow()
                follower = asyncio.create_task(anext(matches))
                await client.status()
                started = asyncio.get_running_loop().time()
            assert asyncio.get_running_loop().time() - started < 8
            assert not follower.done()
            follower.cancel()

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
