"""What status counts is what a round would do."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from mandorla.v1 import operator_pb2
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.home.folder import Home
from mandorla_node.store import IndicatorSet, LabelledIndicator
from mandorla_node.store.database import Database
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.header import RoundKind
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from tests.support.databases import Databases
from tests.support.labs import WATCH, addresses, ingest, make_home, make_labs, run_round, serving

FLAGGED, OBSERVED = IndicatorSet


def gap(home: Home) -> tuple[int, int, int]:
    """Return the one gap of a store, after comparing it with what the next round would find to do."""
    with closing(home.open_store()) as store:
        (one,) = store.overview.backlog().gaps
        assert (one.peer, one.collection) == ("lab-b", "infrastructure")
        (peer,) = store.peers.all()
        held = store.holder.current(home.card.identity, peer.lab, "infrastructure")
        if held is not None:
            until = store.holder.flag_state()
            added = store.holder.additions(held, until, None, 1000)
            revoked, _ = store.holder.revocations(held, until, 0, 1000)
            assert one.unpublished == (len(added.indicator_ids) if added else 0) + len(revoked)
        for peer_epoch in store.overview.state().peers[0].peer_epochs:
            epoch = Epoch(peer.lab, home.card.identity, peer_epoch.collection, peer_epoch.number)
            known = store.querier.look_up(epoch, key_of(home, epoch))
            for source, count in one.uncompared.items():
                assert count == store.querier.count_untagged(known, source)[0]
        return one.unpublished, one.uncompared[FLAGGED], one.uncompared[OBSERVED]


def key_of(home: Home, epoch: Epoch) -> bytes:
    """Return the public key of a peer's epoch, from where the store keeps it."""
    from sqlalchemy import select

    from mandorla_node.store.schema import ASKED_EPOCHS

    with closing(Database(home.path / "mandorla.db")) as database, database.read() as connection:
        key = select(ASKED_EPOCHS.c.public_key).where(
            ASKED_EPOCHS.c.holder == epoch.holder, ASKED_EPOCHS.c.number == epoch.number
        )
        return bytes(connection.execute(key).scalar_one())


def test_a_backlog_is_what_a_round_would_do(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(20)))
    ingest(a, addresses(range(15, 50)), OBSERVED)
    ingest(b, addresses(range(10)))
    assert gap(a) == (20, 20, 35)

    async def journey() -> None:
        async with serving(a, b) as (at_a, _):
            await run_round(at_a, "lab-b")
            assert gap(a) == (0, 0, 30)
            ingest(a, addresses(range(3)), label=Label(severity=4))  # a new label
            ingest(a, addresses(range(3, 6)), label=Label(expires=1))  # has expired
            ingest(a, addresses(range(100, 107)))
            assert gap(a) == (13, 7, 30)
            await run_round(at_a, "lab-b", WATCH)
            assert gap(a) == (0, 7, 0)
            status = await at_a.Status(operator_pb2.StatusRequest())
            (shown,) = status.gaps
            assert (shown.peer, shown.unpublished, shown.uncompared_flagged) == ("lab-b", 0, 7)
            await run_round(at_a, "lab-b")
            assert gap(a) == (0, 0, 0)
            assert not (await at_a.Status(operator_pb2.StatusRequest())).gaps

    asyncio.run(journey())


def test_what_was_charged_outlives_its_key(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(b, addresses(range(10)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, _):
            await run_round(at_a, "lab-b")

    asyncio.run(journey())
    with closing(b.open_store()) as store:
        (before,) = store.overview.state().peers
        assert before.current["infrastructure"].spent == 256
        (peer,) = store.peers.all()
        store.holder.create(
            Epoch(b.card.identity, peer.lab, "infrastructure", 2), bytes(32), bytes(32), 1000, 3600
        )
        (after,) = store.overview.state().peers
        assert (after.current["infrastructure"].spent, after.current["infrastructure"].number) == (0, 2)
        assert after.charged == before.charged == {"infrastructure": 256}
        assert after.matches == {RoundKind.SHARED: 0, RoundKind.WATCH: 0}


class Noted:
    """What a store tells of its writes."""

    def __init__(self) -> None:
        self.writes = 0
        self.failures = 0

    def wrote(self, seconds: float) -> None:
        assert seconds > 0
        self.writes += 1

    def write_failed(self) -> None:
        self.failures += 1


def test_both_databases_are_counted_alike(folder: Path, databases: Databases) -> None:
    now = 1_800_000_000
    card = make_home(folder, "lab-b").card
    with closing(databases.open(folder, Vault(new_key()), lambda: now)) as store:
        store.peers.add(card)
        rows = [LabelledIndicator(Indicator.parse("ipv4", value), Label()) for value in addresses(range(5))]
        store.indicators.add(FLAGGED, rows, None)
        store.indicators.add(OBSERVED, rows[:2], None)
        store.holder.create(
            Epoch(LabId(bytes(32)), card.identity, "infrastructure", 1), bytes(32), bytes(32), 1000, 3600
        )
        (peer,) = store.overview.state().peers
        assert peer.charged == {"infrastructure": 0}
        (epoch,) = peer.held
        assert (epoch.spent, epoch.budget, epoch.ends) == (0, 1000, now + 3600)
        assert store.overview.state().main_bytes > 0
        backlog = store.overview.backlog()
        assert set(backlog.sizes) == {("ipv4", FLAGGED, 5), ("ipv4", OBSERVED, 2)}
        (one,) = backlog.gaps
        assert (one.unpublished, one.uncompared) == (5, {FLAGGED: 5, OBSERVED: 2})


def test_a_proof_that_the_store_can_be_written_is_a_write(folder: Path, databases: Databases) -> None:
    noted = Noted()
    with closing(databases.open(folder, Vault(new_key()), lambda: 1)) as store:
        store.observe_writes(noted)
        before = store.overview.state()
        store.require_writable()
        assert (noted.writes, noted.failures) == (1, 0)
        if databases.name == "sqlite":
            assert store.overview.state().wal_bytes > before.wal_bytes
