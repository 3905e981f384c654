"""How rounds end: what a lab signs, stores and reports at the end stays true."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mandorla.v1 import operator_pb2
from mandorla_node.home import Home
from tests.support.labs import addresses, ingest, make_labs, matched, run_round, serving


def test_reported_sightings_reach_the_holder_and_new_matches_stay_new(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    config = a.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[rounds]\n", "[rounds]\nreport_sightings = true\n"))
    a = Home.open(a.path)
    ingest(a, addresses(range(20)))
    ingest(b, addresses(range(15, 40)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            result = await run_round(at_a, "lab-b")
            assert (result.outcome, result.matches, result.new_matches) == ("committed", 5, 5)
            assert await matched(at_a) == sorted(addresses(range(15, 20)))
            for operator, sightings in ((at_b, 5), (at_a, 0)):
                status = await operator.Status(operator_pb2.StatusRequest())
                assert status.peers[0].sightings == sightings

    asyncio.run(journey())
