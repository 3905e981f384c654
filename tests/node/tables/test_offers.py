"""A table that is up to date stands for a while, and never past an ingest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mandorla_node.config.peer_settings import RoundSettings
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.crypto.workers import Workers
from mandorla_node.peers.policy import Policies
from mandorla_node.store import IndicatorSet, LabelledIndicator, Store
from mandorla_node.tables.builder import PreparedEpoch, TableBuilder
from mandorla_node.tables.offers import TableOffers
from mandorla_protocol.epochs import LabId
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label

KEY = (LabId(bytes([1] * 32)), "infrastructure")


def test_who_asks_without_end_has_the_table_looked_through_now_and_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000
    store = Store.open(folder / "mandorla.db", Vault(new_key()), lambda: now)
    pool = Workers("portable", 1)
    tables = TableBuilder(LabId(bytes(32)), store, pool, Policies(RoundSettings(), {}, store))
    prepared = 0
    honest = tables.prepare

    async def prepare(querier: LabId, collection: str) -> PreparedEpoch:
        nonlocal prepared
        prepared += 1
        return await honest(querier, collection)

    monkeypatch.setattr(tables, "prepare", prepare)

    def flag(number: int) -> None:
        found = LabelledIndicator(Indicator.parse("ipv4", f"198.18.0.{number}"), Label())
        store.indicators.add(IndicatorSet.FLAGGED, [found], None)

    async def journey() -> None:
        nonlocal now
        offers = TableOffers(tables, store, lambda: now)
        flag(1)
        for _ in range(50):
            first = await offers.prepared_epoch(KEY)
        assert first.held.commitment.version == 1
        looked = prepared
        assert looked < 50
        flag(2)
        assert (await offers.prepared_epoch(KEY)).held.commitment.version == 2, (
            "an ingest is looked at at once"
        )
        await offers.prepared_epoch(KEY)
        looked = prepared
        now += 3600
        await offers.prepared_epoch(KEY)
        assert prepared == looked + 1, "the rest has an end"

    try:
        asyncio.run(journey())
    finally:
        pool.close()
        store.close()
