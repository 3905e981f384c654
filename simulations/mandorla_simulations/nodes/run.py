"""Runs with fidelity `nodes`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

from mandorla_node.core.clock import system_clock
from mandorla_protocol.errors import Code, InputError

from ..attack_variants import with_attack
from ..population import make_population
from ..resources import ResourceBook
from ..run_record import RunRecord
from ..scenario.model import Protocol, Scenario, Scheme
from ..sharing.channel import Channel
from ..sharing.costs import standing_lifetime
from ..sightings import Sightings
from ..study import Cell
from ..world import World
from .batch_channel import BatchChannel
from .cluster import cluster
from .feed import Feed
from .indicators import COLLECTIONS
from .watch_channel import WatchChannel

MAX_PEOPLE = 20_000
MAX_ACCOUNTS = 2_000
MAX_MICRO_BATCH = 6 * 24 * 3600


def require_small(scenario: Scenario) -> None:
    """Refuse a scenario that would take real nodes hours.

    Raises InputError(BAD_INPUT).
    """
    pools = sum(campaign.pool for campaign in scenario.campaigns)
    if scenario.benign.people > MAX_PEOPLE or pools > MAX_ACCOUNTS:
        raise InputError(
            Code.BAD_INPUT,
            f"fidelity nodes takes up to {MAX_PEOPLE:,} honest users and {MAX_ACCOUNTS:,} accounts; "
            f"this scenario has {scenario.benign.people:,} and {pools:,}. The preset `small` fits.",
        )


def require_rounds(scenario: Scenario, cell: Cell) -> None:
    """Refuse sharing without rounds between nodes.

    Raises InputError(BAD_INPUT).
    """
    if cell.sharing.scheme not in {Scheme.BATCH, Scheme.WATCH}:
        raise InputError(
            Code.BAD_INPUT,
            f"fidelity nodes cannot run {cell.sharing}: use --sharing mandorla-watch, or "
            "mandorla-batch/PERIOD such as mandorla-batch/6h",
        )
    if cell.sharing.scheme is Scheme.WATCH and scenario.protocol.micro_batch > MAX_MICRO_BATCH:
        raise InputError(Code.BAD_INPUT, "fidelity nodes takes micro-batches of up to 6 days")


def simulate_with_nodes(scenario: Scenario, cell: Cell, seed: int) -> RunRecord:
    """Run a cell with a real node for each lab.

    Raises InputError(BAD_INPUT) for sharing without rounds or a scenario that is too large, and the errors of
    the nodes.
    """
    require_rounds(scenario, cell)
    require_small(scenario)
    changed = with_attack(scenario, cell.attack)
    population = make_population(scenario, seed)
    start = system_clock()
    names = [lab.name for lab in scenario.labs]
    watches = cell.sharing.scheme is Scheme.WATCH
    watching: list[WatchChannel] = []
    with (
        tempfile.TemporaryDirectory(prefix="mandorla-sim-", ignore_cleanup_errors=True) as folder,
        asyncio.Runner() as runner,
    ):
        context = cluster(Path(folder), names, start, _settings(scenario.protocol, watches))
        nodes = runner.run(context.__aenter__())
        try:

            def channel(sightings: Sightings, book: ResourceBook) -> Channel:
                feed = Feed(runner, nodes, start, changed, sightings, book)
                if not watches:
                    return BatchChannel(feed, cell.sharing.period)
                watching.append(WatchChannel(feed))
                return watching[-1]

            record = World(changed, population, seed, channel).run()
            for one in watching:
                runner.run(one.count())
            return record
        finally:
            runner.run(context.__aexit__(None, None, None))


def _settings(protocol: Protocol, watches: bool) -> dict[str, object]:
    """Return the settings of the nodes, by their names in the environment."""
    settings: dict[str, object] = {
        "MANDORLA_ROUNDS__BUDGET": protocol.budget,
        "MANDORLA_ROUNDS__CAP": protocol.budget,
        "MANDORLA_WATCH__ENABLED": json.dumps(watches),
    }
    if watches:
        settings["MANDORLA_WATCH__COLLECTIONS"] = json.dumps(COLLECTIONS)
        # The lifetime that a node proposes, and the longest that it accepts.
        settings["MANDORLA_WATCH__LIFETIME"] = standing_lifetime(protocol.micro_batch)
        settings["MANDORLA_ROUNDS__LIFETIME"] = standing_lifetime(protocol.micro_batch)
    return settings
