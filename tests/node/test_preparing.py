"""Tables are there before anybody asks for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mandorla.v1 import operator_pb2
from tests.support.labs import SHARED, addresses, ingest, make_labs, run_round, serving


async def versions(at) -> dict[tuple[str, str], int]:
    status = await at.Status(operator_pb2.StatusRequest())
    return {
        (peer.name, budget.collection): budget.table_version
        for peer in status.peers
        for budget in peer.budgets
    }


def test_a_node_makes_its_tables_before_it_is_asked(folder: Path) -> None:
    lab_a, lab_b, _ = make_labs(folder, "lab-a", "lab-b", "lab-c")
    ingest(lab_a, addresses(range(30)))
    ingest(lab_b, addresses(range(20, 50)))

    async def journey() -> None:
        async with serving(lab_a, ahead=True) as (at_a,):
            # One for each peer, and none where nothing is flagged.
            expected = {("lab-b", "infrastructure"): 1, ("lab-c", "infrastructure"): 1}
            while (made := await versions(at_a)) != expected:
                assert set(made) <= set(expected)
            async with serving(lab_b):
                result = await run_round(at_a, "lab-b", SHARED)
            assert result.matches == 10
            assert await versions(at_a) == expected, "the round had nothing to add"

    asyncio.run(asyncio.wait_for(journey(), 60))
