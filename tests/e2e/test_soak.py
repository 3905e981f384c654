"""Labs whose nodes are killed, frozen and stopped again and again lose nothing, and match nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.soak.plan import Load
from benchmarks.soak.run import Troubles, soak
from tests.support.patience import PATIENCE


@pytest.mark.slow
def test_what_was_acknowledged_matches_once_whatever_happened_to_the_nodes(folder: Path) -> None:
    load = Load(seconds=16, new=6, checks=6)
    troubles = Troubles(every=2.8, frozen=1.0, kinds=("kill", "kill", "freeze", "stop"))
    outcome = asyncio.run(asyncio.wait_for(soak(folder, load, troubles, seed=8), PATIENCE))
    assert outcome.faults == []
    assert outcome.troubles.keys() == {"kill", "freeze", "stop"}, "or the seed is a dull one"
    assert outcome.matched > 50
    assert all(one.ended["committed"] for one in outcome.rounds.values())
