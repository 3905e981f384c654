"""A collector reads what a node did; it costs the node little, and tells nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from mandorla.v1 import exchange_pb2, operator_pb2, operator_pb2_grpc
from mandorla_node.config.lab_settings import host_and_port
from mandorla_node.home.folder import Home
from mandorla_node.store import IndicatorSet
from mandorla_protocol.errors import MandorlaError
from tests.support.hostile import TIMEOUT, channel_to, hello_request
from tests.support.labs import (
    SHARED,
    WATCH,
    addresses,
    ingest,
    make_home,
    make_labs,
    pause,
    run_round,
    serving,
)
from tests.support.patience import PATIENCE
from tests.support.scraper import Page, ask, configured, get, watched

BUSY = 40


def pair(folder: Path) -> list[Home]:
    """Two labs that may be watched, and that share five flags."""
    homes = [watched(home) for home in make_labs(folder, "lab-a", "lab-b")]
    ingest(homes[0], addresses(range(10)))
    ingest(homes[0], addresses(range(100, 107)), IndicatorSet.OBSERVED)
    ingest(homes[1], addresses(range(5, 12)))
    return homes


def test_a_round_is_seen_from_both_sides(folder: Path) -> None:
    a, b = pair(folder)

    async def journey() -> tuple[Page, Page, operator_pb2.StatusResponse]:
        async with serving(a, b) as (at_a, at_b):
            assert (await run_round(at_a, "lab-b", SHARED)).outcome == "committed"
            await at_b.Status(operator_pb2.StatusRequest())
            check = operator_pb2.CheckRequest(
                indicators=[
                    operator_pb2.Indicator(type="ipv4", value=value)
                    for value in addresses([1, 5, 900])  # ours, matched, new
                ]
            )
            await at_a.Check(check)
            return await get(a), await get(b), await at_a.Status(operator_pb2.StatusRequest())

    page_a, page_b, status = asyncio.run(journey())
    for page, peer in ((page_a, "lab-b"), (page_b, "lab-a")):
        about = {"peer": peer, "kind": "shared", "collection": "infrastructure"}
        assert page.value("mandorla_rounds_total", **about, outcome="committed", code="OK") == 1
        assert page.value("mandorla_round_seconds_count", **about) == 1
        assert page.value("mandorla_new_matches_total", **about) == 5
        assert page.value("mandorla_matches", peer=peer, kind="shared") == 5
        assert page.value("mandorla_matches", peer=peer, kind="watch") == 0
        table = {"peer": peer, "collection": "infrastructure"}
        assert page.value("mandorla_evaluations_charged_total", **table) == 256
        assert page.value("mandorla_evaluations_asked_total", peer=peer) == 256
        assert page.value("mandorla_budget_spent", **table) == 256
        assert page.value("mandorla_budget", **table) == 2**21
        assert page.value("mandorla_key_epoch", **table) == 1
        assert page.value("mandorla_key_epoch_end_timestamp_seconds", **table) > status.started
        assert page.value("mandorla_table_entries", **table) == 256
        assert page.value("mandorla_peer_table_version", **table) == 1
        assert page.value("mandorla_unpublished_indicators", **table) == 0
        assert page.value("mandorla_uncompared_indicators", **table, set="flagged") == 0
        assert page.value("mandorla_peer_last_contact_timestamp_seconds", peer=peer) >= status.started
        assert page.value("mandorla_calls_served_total", peer=peer, method="Evaluate", code="OK") == 1
        assert page.value("mandorla_calls_made_total", peer=peer, method="Evaluate", code="OK") == 1
        assert page.value("mandorla_serving") == 1
        assert page.value("mandorla_store_write_seconds_count") > 0
        assert page.value("mandorla_store_write_errors_total") == 0
    # Seven that were observed before, and what was new in the check: the others have their tags.
    about = {"peer": "lab-b", "collection": "infrastructure", "set": "observed"}
    assert page_a.value("mandorla_uncompared_indicators", **about) == 8
    assert page_a.value("mandorla_check_seconds_count", code="OK") == 1
    for answer in ("matched", "flagged", "unknown"):
        assert page_a.value("mandorla_checked_indicators_total", answer=answer) == 1
    assert page_a.value("mandorla_node_info", lab="lab-a", engine=status.engine, version=status.version) == 1
    assert page_b.series("mandorla_check_seconds_count") == [], "each node in a process counts for itself"


def test_refused_calls_count_by_their_code_and_by_whom_they_are(folder: Path) -> None:
    a, b = pair(folder)
    stranger = make_home(folder, "stranger")

    async def refused(call: grpc.aio.UnaryUnaryCall[object, object]) -> None:
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    async def journey() -> Page:
        async with serving(a), channel_to(a.card, b) as pinned, channel_to(a.card, stranger) as unpinned:
            await refused(pinned.Hello(hello_request(collection="nonsense"), timeout=TIMEOUT))
            await refused(pinned.Evaluate(exchange_pb2.EvaluateRequest(round_id=bytes(16)), timeout=TIMEOUT))
            with pytest.raises(grpc.aio.AioRpcError):  # TLS refuses a certificate that is not pinned
                await unpinned.Hello(hello_request(), timeout=TIMEOUT)
            # Still on its connection, but pinned no more.
            with closing(a.open_store()) as store:
                store.peers.remove("lab-b")
            await refused(pinned.Hello(hello_request(), timeout=TIMEOUT))
            return await get(a)

    page = asyncio.run(journey())
    counted = {
        (labels["peer"], labels["method"], labels["code"]): value
        for labels, value in page.series("mandorla_calls_served_total")
    }
    assert counted == {
        ("lab-b", "Hello", "POLICY_REFUSED"): 1,
        ("lab-b", "Evaluate", "UNKNOWN_ROUND"): 1,
        ("unknown", "Hello", "NOT_PINNED"): 1,
    }


def test_rounds_that_do_not_come_about_are_counted(folder: Path) -> None:
    a, b = (watched(home) for home in make_labs(folder, "lab-a", "lab-b"))
    config = b.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[rounds]", "[rounds]\nbudget = 300\ncap = 300"))
    b = Home.open(b.path)
    ingest(a, addresses(range(200)))

    async def journey() -> Page:
        async with serving(a, b) as (at_a, _):
            await run_round(at_a, "lab-b")
            with pytest.raises(grpc.aio.AioRpcError):
                await run_round(at_a, "lab-b")
            with pytest.raises(grpc.aio.AioRpcError):
                await run_round(at_a, "sentinel-of-an-operator")
            return await get(a)

    page = asyncio.run(journey())
    assert page.value("mandorla_rounds_total", peer="lab-b", outcome="failed", code="CAP_EXCEEDED") == 1
    assert "sentinel" not in page.body, "only pinned peers make labels"


def test_a_busy_store_holds_no_scrape_up(folder: Path) -> None:
    (home,) = (watched(home) for home in make_labs(folder, "lab-a"))

    async def journey() -> None:
        async with serving(home) as (operator,):
            await get(home)
            other = sqlite3.connect(home.path / "mandorla.db", isolation_level=None, check_same_thread=False)
            with closing(other):
                other.execute("BEGIN IMMEDIATE")
                checks = [
                    asyncio.ensure_future(
                        operator.Check(
                            operator_pb2.CheckRequest(
                                indicators=[operator_pb2.Indicator(type="ipv4", value=value)]
                            )
                        )
                    )
                    # More than there are threads for them: each waits for the lock in one.
                    for value in addresses(range(BUSY))
                ]
                await asyncio.wait(checks, timeout=0.2)
                async with asyncio.timeout(PATIENCE):
                    page = await get(home)
                    assert (await get(home, "/healthz")).status == 200
                assert page.value("mandorla_serving") == 1
                assert not any(check.done() for check in checks), "the store was not busy"
                other.execute("ROLLBACK")
                await asyncio.gather(*checks)

    asyncio.run(journey())


def test_a_flood_of_scrapes_reads_the_store_once_a_second_at_most(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mandorla_node.store.overview import Overview, StoreState

    (home,) = (watched(home) for home in make_labs(folder, "lab-a"))
    readings: list[int] = []
    state = Overview.state

    def counted(self: Overview) -> StoreState:
        readings.append(1)
        return state(self)

    monkeypatch.setattr(Overview, "state", counted)

    async def journey() -> float:
        async with serving(home):
            loop = asyncio.get_running_loop()
            started = loop.time()
            for _ in range(20):
                pages = await asyncio.gather(*(get(home) for _ in range(10)))
                assert {page.status for page in pages} == {200}
            return loop.time() - started

    took = asyncio.run(journey())
    assert len(readings) <= 2 + took


def test_who_holds_connections_open_keeps_nobody_out(folder: Path) -> None:
    (home,) = (watched(home) for home in make_labs(folder, "lab-a"))

    async def journey() -> None:
        async with serving(home):
            held = [
                await asyncio.open_connection(*host_and_port(home.settings.observe.listen))
                for _ in range(100)
            ]
            assert (await get(home)).status == 200
            # The oldest were let go for it.
            async with asyncio.timeout(PATIENCE):
                assert await held[0][0].read() == b""
            for _, writer in held:
                writer.close()

    asyncio.run(journey())


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /metrics?x=1 HTTP/1.1\r\nHost: [::1]:9464\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\nHost: attacker.example\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"\xff\x00\r\n\r\n", 421),
    ],
)
def test_what_is_no_scrape_gets_an_answer_and_no_metrics(
    folder: Path, request_head: bytes, status: int
) -> None:
    (home,) = (watched(home) for home in make_labs(folder, "lab-a"))

    async def journey() -> Page:
        async with serving(home):
            return await ask(home, request_head)

    page = asyncio.run(journey())
    assert page.status == status
    assert ("mandorla_serving" in page.body) is (status == 200)


@pytest.mark.parametrize(
    "said",
    [
        'listen = "0.0.0.0:9464"',
        'health = "192.0.2.1:9465"',
        'listen = "[::]:9464"',
        'listen = "metrics.example:9464"',
        'listen = "9464"',
        'health = "127.0.0.1:99999"',
        'listen = "127.0.0.1.example:9464"',
    ],
)
def test_an_address_that_others_reach_must_be_asked_for(folder: Path, said: str) -> None:
    home = make_home(folder, "lab-a")
    with pytest.raises(MandorlaError) as caught:
        configured(home, said)
    assert caught.value.code.name == "BAD_CONFIG"
    assert f"observe: {said.partition(' ')[0]}: " in caught.value.detail


def test_an_address_may_be_exposed(folder: Path) -> None:
    home = configured(make_home(folder, "lab-a"), 'listen = "0.0.0.0:9464"\nexpose = true')
    assert home.settings.observe.listen == "0.0.0.0:9464"


@pytest.mark.parametrize("key", ["listen", "health"])
def test_a_port_that_is_taken_is_named(folder: Path, key: str) -> None:
    taken = watched(make_home(folder, "lab-a"))
    address = getattr(taken.settings.observe, key)
    other = configured(make_home(folder, "lab-b"), f'{key} = "{address}"')

    async def journey() -> None:
        async with serving(taken):
            with pytest.raises(MandorlaError) as caught:
                async with serving(other):
                    pass
            assert caught.value.code.name == "BAD_CONFIG"
            assert f"observe.{key}" in caught.value.detail

    asyncio.run(journey())


def test_nodes_listen_nowhere_unless_told(folder: Path) -> None:
    home = make_home(folder, "lab-a")
    assert (home.settings.observe.listen, home.settings.observe.health) == ("", "")


def test_watch_rounds_count_apart(folder: Path) -> None:
    a, b = pair(folder)

    async def journey() -> Page:
        async with serving(a, b) as (at_a, _):
            await run_round(at_a, "lab-b", WATCH)
            return await get(a)

    page = asyncio.run(journey())
    (labels,) = [labels for labels, _ in page.series("mandorla_rounds_total")]
    assert labels["kind"] == "watch"


def test_what_a_standing_round_finds_is_counted_as_it_comes(folder: Path) -> None:
    a, b = pair(folder)
    about = {"peer": "lab-b", "kind": "watch", "collection": "infrastructure"}

    async def journey() -> None:
        async with serving(a, b, watch=True) as (at_a, at_b):
            async with asyncio.timeout(PATIENCE):
                while "standing" not in await steps(at_a):
                    await pause()
            assert (await get(a)).value("mandorla_open_rounds", **about, step="standing") == 1
            # One of what lab-a has observed.
            options = operator_pb2.IngestOptions(set=operator_pb2.SET_FLAGGED)
            rows = [operator_pb2.IngestRow(line=1, type="ipv4", value=addresses([103])[0])]
            await at_b.Ingest(
                iter(
                    [
                        operator_pb2.IngestRequest(options=options),
                        operator_pb2.IngestRequest(rows=operator_pb2.IngestRows(rows=rows)),
                    ]
                )
            )
            async with asyncio.timeout(PATIENCE):
                while (await get(a)).value("mandorla_new_matches_total", **about) != 1:
                    await pause()
            assert (await get(a)).series("mandorla_round_seconds_count") == []

    async def steps(operator: operator_pb2_grpc.OperatorAsyncStub) -> list[str]:
        status = await operator.Status(operator_pb2.StatusRequest(now=True))
        return [one.step for one in status.open_rounds if one.collection == "infrastructure"]

    asyncio.run(journey())
