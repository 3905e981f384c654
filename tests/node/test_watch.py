"""The watch: a peer's flag reaches a lab as it is made, wherever the lab has seen the indicator."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.home import Home
from tests.support.labs import WATCH, addresses, make_labs, matched, serving

PATIENCE = 60


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
        pass


async def until_standing(at: operator_pb2_grpc.OperatorAsyncStub, count: int) -> None:
    while True:
        status = await at.Status(operator_pb2.StatusRequest())
        if sum(one.state == "open" for one in status.rounds) >= count:
            return


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
            answer = await at_b.Check(
                operator_pb2.CheckRequest(
                    indicators=[
                        operator_pb2.Indicator(type="ipv4", value=value) for value in addresses([7, 9])
                    ]
                )
            )
            assert [len(result.matches) for result in answer.results] == [1, 0]
            assert [list(result.compared_with) for result in answer.results] == [["lab-a"], ["lab-a"]]
            assert await matched(at_a) == [], "what lab-b saw, lab-a does not learn"

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
