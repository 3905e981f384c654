"""The watch: a peer's flag reaches a lab as it is made, wherever the lab has seen the indicator."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.app.node import running
from mandorla_node.audit.bundle import write_bundle
from mandorla_node.home.folder import Home
from mandorla_node.store.matches import Matches
from mandorla_protocol.audit.__main__ import verify_files
from mandorla_protocol.engine.loader import load_engine
from tests.support.labs import (
    SHARED,
    WATCH,
    addresses,
    answering,
    make_labs,
    matched,
    pause,
    run_round,
    serving,
)
from tests.support.patience import PATIENCE


async def ingest(
    at: operator_pb2_grpc.OperatorAsyncStub, values: list[str], into: str, expires: int = 0
) -> None:
    options = operator_pb2.IngestOptions(set=operator_pb2.Set.Value(f"SET_{into.upper()}"), no_suppress=True)
    label = operator_pb2.Label(severity=2, confidence=50, expires=expires)
    rows = [
        operator_pb2.IngestRow(line=n, type="ipv4", value=value, label=label)
        for n, value in enumerate(values, 1)
    ]
    requests = [
        operator_pb2.IngestRequest(options=options),
        operator_pb2.IngestRequest(rows=operator_pb2.IngestRows(rows=rows)),
    ]
    response = await at.Ingest(iter(requests))
    assert not response.rejected_total


async def until_matched(at: operator_pb2_grpc.OperatorAsyncStub, values: list[str]) -> None:
    while await matched(at, kind=WATCH) != sorted(values):
        await pause()


def asking(*values: str) -> operator_pb2.CheckRequest:
    indicators = [operator_pb2.Indicator(type="ipv4", value=value) for value in values]
    return operator_pb2.CheckRequest(indicators=indicators)


async def budget(at: operator_pb2_grpc.OperatorAsyncStub, peer: str) -> operator_pb2.BudgetStatus:
    """Return what a peer has spent at this lab, and how far the table for it is."""
    status = await at.Status(operator_pb2.StatusRequest())
    (found,) = [one for known in status.peers if known.name == peer for one in known.budgets]
    return found


async def spent(at: operator_pb2_grpc.OperatorAsyncStub, peer: str) -> int:
    return (await budget(at, peer)).spent


async def version(at: operator_pb2_grpc.OperatorAsyncStub, peer: str) -> int:
    return (await budget(at, peer)).table_version


class Clock:
    now = 1_800_000_000

    def __call__(self) -> int:
        return self.now


async def until_standing(at: operator_pb2_grpc.OperatorAsyncStub, count: int) -> None:
    while True:
        status = await at.Status(operator_pb2.StatusRequest())
        if sum(one.state == "open" for one in status.rounds) >= count:
            return
        await pause()


def watch_only(home: Home, *collections: str) -> Home:
    config = home.path / "mandorla.toml"
    names = ", ".join(f'"{one}"' for one in collections)
    config.write_text(config.read_text().replace("[watch]\n", f"[watch]\ncollections = [{names}]\n"))
    return Home.open(home.path)


def two_labs(folder: Path) -> list[Home]:
    return [watch_only(home, "infrastructure") for home in make_labs(folder, "lab-a", "lab-b")]


def test_a_flag_matches_what_a_peer_has_seen_and_what_it_sees_later(folder: Path) -> None:
    async def journey() -> None:
        async with serving(*two_labs(folder), watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            await ingest(at_b, addresses(range(5)), "observed")
            await ingest(at_a, addresses(range(3, 8)), "flagged")
            await until_matched(at_b, addresses([3, 4]))
            # Seen after it was flagged, and asked about at once.
            answer = await at_b.Check(asking(*addresses([7, 9])))
            assert [len(result.matches) for result in answer.results] == [1, 0]
            assert [list(result.compared_with) for result in answer.results] == [["lab-a"], ["lab-a"]]
            assert await matched(at_a) == [], "what lab-b saw, lab-a does not learn"

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_match_ends_with_its_flag(folder: Path) -> None:
    lab_a, lab_b = two_labs(folder)
    clock_a, clock_b = Clock(), Clock()

    async def journey() -> None:
        async with running(lab_a, clock_a, watch=True), running(lab_b, clock_b, watch=True):
            at_a, at_b = await answering(lab_a), await answering(lab_b)
            await until_standing(at_a, 1)
            await ingest(at_b, addresses(range(4)), "observed")
            await ingest(at_a, addresses([0]), "flagged", expires=clock_a.now + 60)
            await ingest(at_a, addresses([1, 2]), "flagged")
            await until_matched(at_b, addresses([0, 1, 2]))
            # The label says its end, so the match lapses though the holder is silent.
            clock_b.now += 60
            assert await matched(at_b, kind=WATCH) == addresses([1, 2])
            # A flag that is changed to be over is revoked, and read as such.
            await ingest(at_a, addresses([1]), "flagged", expires=clock_a.now - 1)
            await until_matched(at_b, addresses([2]))

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


@pytest.mark.parametrize("watching", [True, False], ids=["while it stands", "before it stands"])
def test_a_watch_ends_what_both_had_flagged_and_one_takes_back(folder: Path, watching: bool) -> None:
    """Also where the revocation is in the table before the watch begins."""

    async def both() -> None:
        async with serving(*homes) as (at_a, at_b):
            for at in (at_a, at_b):
                await ingest(at, addresses(range(4)), "flagged")
            assert (await run_round(at_b, "lab-a", SHARED)).matches == 4
            if not watching:
                await take_back(at_a)
                # It brings the table up to date, and compares nothing that lab-b has flagged.
                assert (await run_round(at_b, "lab-a", WATCH)).outcome == "committed"

    async def take_back(at_a: operator_pb2_grpc.OperatorAsyncStub) -> None:
        await ingest(at_a, addresses([1, 3]), "flagged", expires=1)

    async def ended() -> None:
        async with serving(*homes, watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            if watching:
                assert await matched(at_b, kind=SHARED) == addresses(range(4))
                await take_back(at_a)
            while await matched(at_b, kind=SHARED) != addresses([0, 2]):
                await pause()
            assert await matched(at_a, kind=SHARED) == addresses(range(4)), "lab-b still says so"

    homes = two_labs(folder)
    asyncio.run(asyncio.wait_for(both(), PATIENCE))
    asyncio.run(asyncio.wait_for(ended(), PATIENCE))


def test_what_was_flagged_before_it_was_seen_matches_without_a_question(folder: Path) -> None:
    """Its tag is there from a `shared` round; seeing it makes it part of the watch."""

    async def journey() -> None:
        async with serving(*two_labs(folder), watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            await ingest(at_b, addresses(range(5)), "flagged")
            await ingest(at_a, addresses(range(3, 8)), "flagged")
            result = await run_round(at_b, "lab-a", SHARED)
            assert (result.outcome, result.matches) == ("committed", 2)
            await until_standing(at_b, 1)
            while not (await at_b.Check(asking("198.18.9.9"))).results[0].compared_with:
                await pause()
            before = await spent(at_a, "lab-b")
            await ingest(at_b, addresses([3]), "observed")
            await until_matched(at_b, addresses([3]))
            assert await spent(at_a, "lab-b") == before

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_batch_round_takes_the_place_of_a_watch_which_comes_back(folder: Path) -> None:
    async def journey() -> None:
        async with serving(*two_labs(folder), watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            await ingest(at_a, addresses(range(5)), "flagged")
            await ingest(at_b, addresses(range(3)), "observed")
            for at, peer in ((at_a, "lab-b"), (at_b, "lab-a")):
                assert (await run_round(at, peer, SHARED)).outcome == "committed"
            await until_matched(at_b, addresses(range(3)))
            await ingest(at_b, addresses([4]), "observed")
            await until_matched(at_b, addresses([0, 1, 2, 4]))
            for at in (at_a, at_b):
                status = await at.Status(operator_pb2.StatusRequest())
                # Each watch that made way was closed by both labs.
                assert {one.state for one in status.rounds} <= {"committed", "open"}

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_watch_begins_anew_after_either_node_was_away(folder: Path) -> None:
    lab_a, lab_b = two_labs(folder)

    async def journey() -> None:
        async with serving(lab_a, watch=True) as (at_a,):
            async with serving(lab_b, watch=True) as (at_b,):
                await until_standing(at_a, 1)
                await ingest(at_b, addresses(range(4)), "observed")
                await ingest(at_a, addresses([0]), "flagged")
                await until_matched(at_b, addresses([0]))
            await ingest(at_a, addresses([1]), "flagged")
            async with serving(lab_b, watch=True) as (at_b,):
                await until_matched(at_b, addresses([0, 1]))
                await ingest(at_a, addresses([2]), "flagged")
                await until_matched(at_b, addresses([0, 1, 2]))

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


@pytest.mark.spec("19.1-1")
def test_comparing_delays_no_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While what was found is not recorded, the next announcement is read and the next question asked."""
    lab_a, lab_b = two_labs(folder)
    go_on = threading.Event()
    renew = Matches.renew

    def slowly(self: Matches, *arguments: Any) -> tuple[int, int]:
        go_on.wait(PATIENCE)
        return renew(self, *arguments)

    async def journey() -> None:
        async with serving(lab_a, lab_b, watch=True) as (at_a, at_b):
            # Beyond the first comparison, which is of everything.
            await ingest(at_b, addresses([9]), "observed")
            await ingest(at_a, addresses([9]), "flagged")
            await until_matched(at_b, addresses([9]))
            monkeypatch.setattr(Matches, "renew", slowly)
            known = await version(at_a, "lab-b")
            await ingest(at_b, addresses([0]), "observed")
            await ingest(at_a, addresses([0]), "flagged")
            while await version(at_a, "lab-b") < known + 1:
                await pause()
            before = await spent(at_a, "lab-b")
            await ingest(at_b, addresses([1]), "observed")
            while await spent(at_a, "lab-b") == before:
                await pause()
            await ingest(at_a, addresses([1]), "flagged")
            while await version(at_a, "lab-b") < known + 2:
                await pause()
            assert await matched(at_b, kind=WATCH) == addresses([9])
            go_on.set()
            await until_matched(at_b, addresses([0, 1, 9]))

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_what_comes_all_at_once_ends_no_round(folder: Path) -> None:
    """Announcements, answers and observations that arrive together are taken one after another."""
    lab_a, lab_b = two_labs(folder)
    count = 40

    async def journey() -> None:
        async with serving(lab_a, lab_b, watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)

            async def busy(number: int) -> None:
                (value,) = addresses([number])
                await ingest(at_a, [value], "flagged")
                await ingest(at_b, [value], "flagged")
                await asyncio.gather(at_a.Check(asking(value)), at_b.Check(asking(value)))

            for start in range(0, count, 4):
                await asyncio.gather(*map(busy, range(start, start + 4)))
            for at in (at_a, at_b):
                await until_matched(at, addresses(range(count)))
                status = await at.Status(operator_pb2.StatusRequest())
                assert [(one.state, one.code) for one in status.rounds] == [("open", "")]

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_an_auditor_verifies_a_watch(folder: Path) -> None:
    lab_a, lab_b = two_labs(folder)

    async def journey() -> None:
        async with serving(lab_a, lab_b, watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            await ingest(at_b, addresses([0]), "observed")
            await ingest(at_a, addresses([0]), "flagged")
            await until_matched(at_b, addresses([0]))
            await at_b.Check(asking("198.18.9.9"))

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    files = []
    for home in (lab_a, lab_b):
        store = home.open_store()
        files.append(str(home.path.with_suffix(".audit")))
        write_bundle(home, store, Path(files[-1]))
        store.close()
    verdict = verify_files(files, load_engine("auto"))
    assert verdict.findings == []
    # The first question of either lab in each round, of which the last was used, and two more of lab-b.
    evaluations = sum(bundle.evaluations for bundle in verdict.bundles)
    assert evaluations == 2 * 256 * len(verdict.bundles[0].rounds) + 2 * 16
