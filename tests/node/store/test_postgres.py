"""What a store in PostgreSQL promises beyond what any does: one node, writers in turn, quiet errors."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.store import IndicatorSet, LabelledIndicator, Store
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.group import Element
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from mandorla_protocol.log.entries import KeyEpochEnded
from tests.node.rounds.test_watch import asking, ingest, until_matched, until_standing, watch_only
from tests.support.commands import Run
from tests.support.databases import Databases, of_kind, server
from tests.support.labs import SHARED, addresses, make_home, matched, pin, run_round, serving
from tests.support.stores import moved

VAULT = Vault(new_key())
ME, PEER = LabId(bytes(32)), LabId(b"p" * 32)
PASSWORD = "sentinel-password"


def clock() -> int:
    return 1_800_000_000


@pytest.fixture
def databases() -> Iterator[Databases]:
    yield from of_kind("postgresql")


def opened(folder: Path, url: str, *, alone: bool = False) -> Store:
    return Store.open(folder / "mandorla.db", VAULT, clock, url, alone)


def observe(store: Store, *numbers: int) -> None:
    rows = [LabelledIndicator(Indicator.parse("ipv4", one), Label()) for one in addresses(numbers)]
    store.indicators.add(IndicatorSet.OBSERVED, rows, None)


def test_a_database_belongs_to_one_node(folder: Path, databases: Databases) -> None:
    url = databases.url(folder)
    with closing(opened(folder, url, alone=True)) as node:
        with pytest.raises(NodeError) as caught:
            opened(folder, url, alone=True)
        assert caught.value.code is Code.STORE_FAILED
        assert "another node" in caught.value.detail
        with closing(opened(folder, url)) as command:
            observe(command, 1)
        assert node.querier.last_observed() == 1, "commands work beside it"
    opened(folder, url, alone=True).close()


def test_a_node_whose_place_was_taken_writes_nothing(folder: Path, databases: Databases) -> None:
    url = databases.url(folder)
    name = url.split("/")[3].split("?")[0]
    with closing(opened(folder, url, alone=True)) as node:
        observe(node, 1)
        server().execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'", to="template1"
        )
        with closing(opened(folder, url, alone=True)):
            with pytest.raises(NodeError) as caught:
                observe(node, 2)
            assert caught.value.code is Code.STORE_FAILED
            assert node.querier.last_observed() == 1
        observe(node, 3)
        assert node.querier.last_observed() == 2


def test_a_node_goes_on_when_the_server_was_away(folder: Path, databases: Databases) -> None:
    url = databases.url(folder)
    with closing(opened(folder, url, alone=True)) as node:
        observe(node, 1)
        server().restart()
        observe(node, 2)
        assert node.querier.last_observed() == 2
        with pytest.raises(NodeError):
            opened(folder, url, alone=True)


def test_writers_take_turns(folder: Path, databases: Databases) -> None:
    stores = [databases.open(folder, VAULT, clock) for _ in range(4)]

    def write(number: int) -> None:
        store = stores[number % len(stores)]
        store.log.append(KeyEpochEnded(Epoch(ME, PEER, "infrastructure", number), number))
        observe(store, number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(1, 33)))
    size, root = stores[0].log.head()
    assert size == 32
    assert stores[1].log.root_at(32) == root
    assert stores[0].querier.last_observed() == 32, "each has a number of its own"
    for store in stores:
        store.close()


def test_what_is_known_uses_up_no_numbers(folder: Path, databases: Databases) -> None:
    with closing(databases.open(folder, VAULT, clock)) as store:
        for _ in range(20):
            observe(store, 1, 2)
        observe(store, 3)
        places = store.indicators.memberships([Indicator.parse("ipv4", one) for one in addresses([1, 2, 3])])
    assert sorted(place.indicator_id for place in places.values()) == [1, 2, 3]


def test_the_number_of_a_peers_epoch_may_be_the_largest(folder: Path, databases: Databases) -> None:
    epoch, key = Epoch(PEER, ME, "infrastructure", 2**32 - 1), Element(b"k" * 32)
    with closing(databases.open(folder, VAULT, clock)) as store:
        begun = store.querier.begin(store.querier.look_up(epoch, key))
        assert store.querier.look_up(epoch, key) == begun
        assert store.querier.look_up(replace(epoch, collection="accounts"), key).id == 0


def test_texts_are_compared_by_their_bytes(folder: Path, databases: Databases) -> None:
    database = databases.database(folder)
    with database.read() as connection:
        columns = connection.execute(
            text(
                "SELECT table_name, column_name, collation_name FROM information_schema.columns "
                "WHERE table_schema = current_schema() AND data_type = 'text'"
            )
        ).all()
    database.close()
    assert columns
    assert [row for row in columns if row.collation_name != "C"] == []


def test_what_is_written_is_on_disk_whatever_the_database_prefers(folder: Path, databases: Databases) -> None:
    url = databases.url(folder)
    name = url.split("/")[3].split("?")[0]
    for preferred, used in (("off", "on"), ("remote_apply", "remote_apply")):
        server().execute(f"ALTER DATABASE {name} SET synchronous_commit = '{preferred}'", to="template1")
        database = databases.database(folder)
        with database.write() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == used
        with database.read() as connection:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "repeatable read"
            assert connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on"
        database.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"mysql://lab:{PASSWORD}@localhost/store", Code.BAD_CONFIG),
        (f"{PASSWORD}", Code.BAD_CONFIG),
        (f"postgresql+asyncpg://lab:{PASSWORD}@localhost/store", Code.BAD_CONFIG),
        (f"postgresql://lab:{PASSWORD}@127.0.0.1:1/store", Code.STORE_FAILED),
        (f"postgresql+psycopg://lab:{PASSWORD}@/store?host=/nowhere", Code.STORE_FAILED),
    ],
)
def test_no_error_shows_the_url(folder: Path, run: Run, url: str, expected: Code) -> None:
    home = moved(make_home(folder, "lab-a"), url)
    assert PASSWORD not in repr(home.settings)
    ran = run("peer", "list", "--home", home.path)
    assert ran.status == expected.info.exit_status
    assert expected.name in ran.err
    assert PASSWORD not in ran.out + ran.err


def test_without_its_driver_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(NodeError) as caught:
        opened(folder, "postgresql:///store")
    assert caught.value.code is Code.BAD_CONFIG
    assert "mandorla[postgres]" in caught.value.detail


def test_two_labs_keep_their_rounds_and_their_watch_in_postgresql(folder: Path, databases: Databases) -> None:
    names = ("lab-a", "lab-b")
    homes = [moved(make_home(folder, name), databases.url(folder / name)) for name in names]
    homes = [watch_only(home, "infrastructure") for home in homes]
    pin(homes[0], homes[1])
    pin(homes[1], homes[0])

    async def before() -> None:
        async with serving(*homes, watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            await ingest(at_b, addresses(range(5)), "observed")
            await ingest(at_a, addresses(range(3, 8)), "flagged")
            await until_matched(at_b, addresses([3, 4]))
            answer = await at_b.Check(asking(*addresses([7, 9])))
            assert [len(result.matches) for result in answer.results] == [1, 0]
            await ingest(at_b, addresses([5]), "flagged")
            assert (await run_round(at_a, "lab-b")).matches == 1

    async def afterwards() -> None:
        async with serving(*homes, watch=True) as (at_a, at_b):
            assert await matched(at_a, kind=SHARED) == addresses([5])
            await until_standing(at_a, 1)
            await ingest(at_a, addresses([2]), "flagged")
            await until_matched(at_b, addresses([2, 3, 4, 7]))

    asyncio.run(before())
    asyncio.run(afterwards())
    for home in homes:
        # What was made with the home, before it was told of the database.
        with suppress(FileNotFoundError):
            assert b"198.18.0." not in (home.path / "mandorla.db").read_bytes()
