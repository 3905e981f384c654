"""Whoever feeds nodes that watch each other can wait for all that comes of it, and let time pass for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.app.node import RunningNode, running
from mandorla_protocol.epochs import LabId
from mandorla_simulations.nodes.node_process import SetClock, SetTimer
from tests.support.labs import WATCH, addresses, answering, make_labs, matched
from tests.support.patience import PATIENCE
from tests.support.watch import Stub, open_rounds, take, watching_infrastructure

COLLECTION = "infrastructure"
START = 1_800_000_000


async def kept_up(holder: RunningNode, querier: RunningNode, lab_a: LabId, lab_b: LabId) -> None:
    """Wait until what lab-a has flagged by now is compared with what lab-b has observed by now."""
    versions = await holder.watch_progress.published([(lab_b, COLLECTION)])
    await querier.watch_progress.compared({(lab_a, COLLECTION): versions[lab_b, COLLECTION]})


async def spent(at: Stub, peer: str) -> int:
    status = await at.Status(operator_pb2.StatusRequest())
    (found,) = [budget for one in status.peers if one.name == peer for budget in one.budgets]
    return found.spent


def test_all_that_comes_of_what_was_fed_is_there_after_the_wait(folder: Path) -> None:
    a, b = (watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b"))

    async def journey() -> None:
        async with running(a, watch=True) as node_a, running(b, watch=True) as node_b:
            at_a, at_b = await answering(a), await answering(b)
            ids = a.card.identity, b.card.identity
            flagged: list[str] = []
            for step in range(6):
                await take(at_b, addresses(range(20 * step, 20 * step + 10)), "observed")
                new = addresses(range(20 * step + 5, 20 * step + 15))
                await take(at_a, new, "flagged")
                await kept_up(node_a, node_b, *ids)
                flagged += new[:5]
                assert await matched(at_b, kind=WATCH) == sorted(flagged)
            # Nothing is new, so there is nothing to wait for.
            await kept_up(node_a, node_b, *ids)

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_what_the_pace_holds_back_is_asked_about_when_its_time_has_come(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tenth of the budget is there at once: 300. The rest comes at a hundred a day, evenly.
    monkeypatch.setenv("MANDORLA_ROUNDS__BUDGET", "3000")
    for kind in ("ROUNDS", "WATCH"):
        monkeypatch.setenv(f"MANDORLA_{kind}__LIFETIME", str(24 * 3600))
    a, b = (watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b"))
    timers = SetTimer(START), SetTimer(START)

    async def journey() -> None:
        async with (
            running(a, SetClock(START), watch=True, timer=timers[0]) as node_a,
            running(b, SetClock(START), watch=True, timer=timers[1]) as node_b,
        ):
            at_a, at_b = await answering(a), await answering(b)
            ids = a.card.identity, b.card.identity
            await take(at_a, addresses([0, 400]), "flagged")
            await kept_up(node_a, node_b, *ids)
            before = await spent(at_a, "lab-b")
            # 363 of a budget of which 300 were there: 63 are to be waited for, more than half a day.
            await take(at_b, addresses(range(300)), "observed")
            await kept_up(node_a, node_b, *ids)
            await take(at_b, addresses([400]), "observed")
            await timers[1].set(START + 12 * 3600)
            await kept_up(node_a, node_b, *ids)
            assert await matched(at_b, kind=WATCH) == addresses([0])
            assert await spent(at_a, "lab-b") - before == 363
            await timers[1].set(START + 16 * 3600)
            await kept_up(node_a, node_b, *ids)
            assert await matched(at_b, kind=WATCH) == addresses([0, 400])
            assert await spent(at_a, "lab-b") - before == 363 + 16

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_round_ends_by_the_timer_and_the_next_one_begins(folder: Path) -> None:
    a, b = (watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b"))
    clocks = SetClock(START), SetClock(START)
    timers = SetTimer(START), SetTimer(START)

    async def journey() -> None:
        async with (
            running(a, clocks[0], watch=True, timer=timers[0]) as node_a,
            running(b, clocks[1], watch=True, timer=timers[1]) as node_b,
        ):
            at_a, at_b = await answering(a), await answering(b)
            ids = a.card.identity, b.card.identity
            await take(at_b, addresses(range(3)), "observed")
            await kept_up(node_a, node_b, *ids)
            first = await open_rounds(at_a)
            for clock, timer in zip(clocks, timers, strict=True):
                clock.now += 3600
                await timer.set(clock.now)
            await take(at_a, addresses([2, 5]), "flagged")
            await kept_up(node_a, node_b, *ids)
            assert await matched(at_b, kind=WATCH) == addresses([2])
            assert not first & await open_rounds(at_a)

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
