"""Runs in fidelity `nodes`."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from mandorla_protocol.errors import Code, InputError

from ..attacks import under
from ..population import make_population
from ..record import Record
from ..resources import ResourceBook
from ..scenario.model import Scenario, Scheme
from ..sharing.channel import Channel
from ..sightings import Sightings
from ..study import Cell
from ..world import World
from .channel import NodesChannel
from .cluster import cluster

MAX_PEOPLE = 20_000
MAX_ACCOUNTS = 2_000


def require_small(scenario: Scenario) -> None:
    """Refuse a scenario that would keep real nodes busy for hours.

    Raises InputError(BAD_INPUT).
    """
    pools = sum(campaign.pool for campaign in scenario.campaigns)
    if scenario.benign.people > MAX_PEOPLE or pools > MAX_ACCOUNTS:
        raise InputError(
            Code.BAD_INPUT,
            f"fidelity nodes takes up to {MAX_PEOPLE:,} people and {MAX_ACCOUNTS:,} accounts at a time; this "
            f"scenario has {scenario.benign.people:,} and {pools:,}. The preset `small` is made for it.",
        )


def require_batch(cell: Cell) -> None:
    """Refuse sharing that nodes do not do yet.

    Raises InputError(BAD_INPUT).
    """
    if cell.sharing.scheme is not Scheme.BATCH:
        raise InputError(
            Code.BAD_INPUT,
            f"fidelity nodes runs batches, and not {cell.sharing}: --sharing mandorla-batch/PERIOD, such as "
            "mandorla-batch/6h",
        )


def simulate_with_nodes(scenario: Scenario, cell: Cell, seed: int) -> Record:
    """Run a cell whose sharing is in batches, with a real node for each lab.

    Raises InputError(BAD_INPUT) for other sharing or too large a scenario, and what the nodes answer.
    """
    require_batch(cell)
    require_small(scenario)
    changed = under(scenario, cell.attack)
    population = make_population(scenario, seed)
    start = int(time.time())
    names = [lab.name for lab in scenario.labs]
    with (
        tempfile.TemporaryDirectory(prefix="mandorla-sim-", ignore_cleanup_errors=True) as folder,
        asyncio.Runner() as runner,
    ):
        context = cluster(Path(folder), names, start, scenario.protocol.budget)
        nodes = runner.run(context.__aenter__())
        try:

            def channel(sightings: Sightings, book: ResourceBook) -> Channel:
                return NodesChannel(runner, nodes, start, changed, cell.sharing, sightings, book)

            return World(changed, population, seed, channel).run()
        finally:
            runner.run(context.__aexit__(None, None, None))
