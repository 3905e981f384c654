"""Rounds between real nodes find exactly what two labs share, and cost what they say."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.home.folder import Home
from mandorla_node.rounds import initiator
from mandorla_node.store import IndicatorSet
from mandorla_protocol.card import issue_card
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.labels import Label, Reason, Tlp
from mandorla_protocol.log.entries import RoundAgreed, RoundClosed
from mandorla_protocol.session.transcript import CloseStatement
from mandorla_protocol.signatures import verify
from tests.support.labs import (
    SHARED,
    WATCH,
    addresses,
    code_of,
    free_port,
    ingest,
    log_of,
    make_labs,
    matched,
    pause,
    rounds_in,
    run_round,
    serving,
)
from tests.support.patience import PATIENCE


def test_both_labs_learn_the_overlap_and_its_labels(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(300)), label=Label(reason=Reason.DISTILLATION, confidence=90, tlp=Tlp.GREEN))
    ingest(b, addresses(range(200, 500)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            result = await run_round(at_a, "lab-b")
            assert (result.outcome, result.matches, result.new_matches) == ("committed", 100, 100)
            assert await matched(at_a) == sorted(addresses(range(200, 300)))
            assert await matched(at_b, "lab-a", SHARED) == sorted(addresses(range(200, 300)))
            labels = [match.label async for match in at_b.Matches(operator_pb2.MatchesRequest())]
            assert {(label.reason, label.confidence, label.tlp) for label in labels} == {(1, 90, 1)}

    asyncio.run(journey())


def test_watch_warns_of_what_was_only_observed(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(50)), IndicatorSet.OBSERVED)
    ingest(a, addresses(range(100, 120)))
    ingest(b, addresses(range(40, 110)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            result = await run_round(at_a, "lab-b", WATCH)
            assert (result.outcome, result.matches) == ("committed", 10)
            assert await matched(at_a, kind=WATCH) == sorted(addresses(range(40, 50)))
            assert await matched(at_a, kind=SHARED) == []
            assert await matched(at_b) == [], "lab-b observed nothing and learns nothing"

    asyncio.run(journey())


def test_an_empty_set_looks_like_any_other(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(b, addresses(range(10)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, _):
            result = await run_round(at_a, "lab-b")
            assert (result.outcome, result.matches) == ("committed", 0)
            assert (result.evaluated_by_peer, result.evaluated_for_peer, result.table_entries) == (256,) * 3

    asyncio.run(journey())


def test_later_rounds_ask_only_for_what_is_new(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(1000)))
    ingest(b, addresses(range(1000)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            first = await run_round(at_a, "lab-b")
            assert (first.evaluated_by_peer, first.table_entries, first.matches) == (1024, 1024, 1000)
            again = await run_round(at_b, "lab-a")
            assert (again.evaluated_by_peer, again.table_entries) == (256, 1024)
            assert (again.matches, again.new_matches) == (1000, 0)
            ingest(a, addresses(range(2000, 2010)))
            ingest(b, addresses(range(2005, 2010)))
            third = await run_round(at_a, "lab-b")
            assert (third.evaluated_by_peer, third.table_entries) == (256, 1280)
            assert (third.matches, third.new_matches) == (1005, 5)
            status = await at_a.Status(operator_pb2.StatusRequest())
            assert [budget.spent for budget in status.peers[0].budgets] == [1024 + 256 + 256]

    asyncio.run(journey())


def test_an_expired_flag_is_revoked_and_matches_no_more(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(10)))
    ingest(b, addresses(range(10)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, _):
            assert (await run_round(at_a, "lab-b")).matches == 10
            ingest(b, addresses(range(4)), label=Label(expires=1))
            assert (await run_round(at_a, "lab-b")).matches == 6
            assert await matched(at_a) == sorted(addresses(range(4, 10)))
            ingest(b, addresses(range(2)), label=Label(severity=4))
            assert (await run_round(at_a, "lab-b")).matches == 8

    asyncio.run(journey())


def test_two_labs_that_propose_at_once_both_get_their_round(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(20)))
    ingest(b, addresses(range(10, 30)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            results = await asyncio.gather(run_round(at_a, "lab-b"), run_round(at_b, "lab-a"))
            assert [result.outcome for result in results] == ["committed", "committed"]

    asyncio.run(journey())


def test_both_labs_keep_both_signatures_on_header_and_close(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> bytes:
        async with serving(a, b) as (at_a, _):
            return (await run_round(at_a, "lab-b")).round_id

    round_id = asyncio.run(journey())
    for own, other, proposals in ((a, b, 1), (b, a, 0)):
        *proposed, agreed, closed = rounds_in(log_of(own))
        assert len(proposed) == proposals
        assert isinstance(agreed, RoundAgreed)
        assert isinstance(closed, RoundClosed)
        assert closed.round_id == round_id
        for body, entry in ((agreed.header, agreed), (closed.statement, closed)):
            verify(own.card.identity, body, entry.own_signature)
            verify(other.card.identity, body, entry.peer_signature)
        header = RoundHeader.decode(agreed.header)
        assert CloseStatement.decode(closed.statement).header_digest == header.digest()


def test_a_spent_budget_refuses_and_charges_nothing_more(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    config = b.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[rounds]", "[rounds]\nbudget = 300\ncap = 300"))
    b = Home.open(b.path)
    ingest(a, addresses(range(200)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            assert (await run_round(at_a, "lab-b")).outcome == "committed"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b")
            assert code_of(caught.value) == "CAP_EXCEEDED"
            status = await at_b.Status(operator_pb2.StatusRequest())
            assert [(b.spent, b.budget) for b in status.peers[0].budgets] == [(256, 300)]

    asyncio.run(journey())


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 40), max_size=40),
    st.lists(st.integers(0, 40), max_size=40),
)
def test_the_intersection_is_the_plain_one(
    tmp_path_factory: pytest.TempPathFactory, left: list[int], right: list[int]
) -> None:
    a, b = make_labs(tmp_path_factory.mktemp("x"), "lab-a", "lab-b")
    ingest(a, addresses(left))
    ingest(b, addresses(right))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            await run_round(at_a, "lab-b")
            shared = sorted(addresses(set(left) & set(right)))
            assert await matched(at_a) == shared
            assert await matched(at_b) == shared

    asyncio.run(journey())


def test_an_operator_who_hangs_up_ends_the_round_for_both_labs(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(2000)))

    async def states(operator: operator_pb2_grpc.OperatorAsyncStub) -> list[tuple[str, str]]:
        status = await operator.Status(operator_pb2.StatusRequest())
        return [(record.state, record.code) for record in status.rounds]

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            call = at_a.StartRound(
                operator_pb2.StartRoundRequest(peer="lab-b", kind=SHARED, collection="infrastructure")
            )
            while (await call.read()).step != "evaluating":
                pass
            call.cancel()
            async with asyncio.timeout(PATIENCE):
                for operator in (at_a, at_b):
                    while await states(operator) != [("aborted", "ROUND_ABORTED")]:
                        await pause()
            assert (await run_round(at_a, "lab-b")).outcome == "committed"

    asyncio.run(journey())


def test_a_responder_that_cannot_call_the_proposer_says_that_it_is_not_ready(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own failure is no answer: the proposer would read that the peer does not answer."""
    monkeypatch.setattr(initiator, "_BUSY_RETRIES", 1)
    a, b = make_labs(folder, "lab-a", "lab-b")
    card = issue_card(
        a.identity,
        name=a.card.name,
        certificate=a.card.certificate,
        endpoint=f"127.0.0.1:{free_port()}",  # nobody listens there
        log_origin=a.card.log_origin,
        issued=a.card.issued,
    )
    with closing(b.open_store()) as store:
        store.peers.remove("lab-a")
        store.peers.add(card)

    async def journey() -> None:
        async with serving(a, b) as (at_a, _):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b")
            assert code_of(caught.value) == "NOT_READY"

    asyncio.run(journey())
