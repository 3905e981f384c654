"""Tables are there before anybody asks for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.config.peer_settings import RoundSettings
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.crypto.workers import Workers
from mandorla_node.peers.policy import Policies
from mandorla_node.store import FlagState, HeldEpoch, IndicatorSet, LabelledIndicator, OwnedPart, Store
from mandorla_node.tables.builder import PreparedEpoch, TableBuilder
from mandorla_protocol.epochs import LabId
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from mandorla_protocol.merkle import Frontier
from tests.support.labs import SHARED, addresses, ingest, make_labs, pause, run_round, serving
from tests.support.patience import PATIENCE


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
                await pause()
            async with serving(lab_b):
                result = await run_round(at_a, "lab-b", SHARED)
            assert result.matches == 10
            assert await versions(at_a) == expected, "the round had nothing to add"

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_preparation_that_is_given_up_ends_before_the_next_begins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an operator hangs up while a version is written, and asks again."""
    store = Store.open(folder / "mandorla.db", Vault(new_key()), lambda: 1_800_000_000)
    flagged = [LabelledIndicator(Indicator.parse("ipv4", f"198.18.0.{n}"), Label()) for n in range(9)]
    store.indicators.add(IndicatorSet.FLAGGED, flagged, None)
    pool = Workers("portable", 1)
    tables = TableBuilder(LabId(bytes(32)), store, pool, Policies(RoundSettings(), {}, store))
    publishing, go_on, begun = threading.Event(), threading.Event(), threading.Event()
    publish, discard = store.holder.publish, store.holder.discard_unpublished

    def slowly(held: HeldEpoch, frontier: Frontier, until: FlagState, last: Sequence[OwnedPart] = ()) -> None:
        publishing.set()
        go_on.wait(PATIENCE)
        publish(held, frontier, until, last)

    def beginning(held: HeldEpoch) -> None:
        discard(held)
        if publishing.is_set():
            begun.set()

    monkeypatch.setattr(store.holder, "publish", slowly)
    monkeypatch.setattr(store.holder, "discard_unpublished", beginning)

    async def journey() -> None:
        def prepare() -> asyncio.Task[PreparedEpoch]:
            return asyncio.create_task(tables.prepare(LabId(b"p" * 32), "infrastructure"))

        first = prepare()
        await asyncio.to_thread(publishing.wait, 30)
        first.cancel()
        second = prepare()
        assert not await asyncio.to_thread(begun.wait, 0.3), "the first still writes"
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        held = (await second).held
        assert (held.commitment.version, held.commitment.size) == (1, 256)
        frontier = Frontier()
        for part in store.holder.entries(held, 0, 256):
            frontier = part.append_to(frontier)
        assert frontier == held.frontier

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    pool.close()
    store.close()
