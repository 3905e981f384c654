"""How rounds end: what a lab signs, stores and reports at the end stays true."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import func, select

from mandorla.v1 import exchange_pb2, operator_pb2
from mandorla_node.home.folder import Home
from mandorla_node.rounds.closer import Closer
from mandorla_node.store import RoundState
from mandorla_node.store.database import Database
from mandorla_node.store.holder import HolderStore
from mandorla_node.store.rounds import Rounds
from mandorla_node.store.schema import ASKED_EPOCHS
from mandorla_protocol import signatures
from mandorla_protocol.errors import Code
from mandorla_protocol.header import Offer
from mandorla_protocol.log.entries import ChunkCharged, RoundAgreed, RoundClosed, RoundProposed
from mandorla_protocol.session.transcript import CloseStatement, Outcome
from tests.support.hostile import (
    TIMEOUT,
    CommittingLab,
    HostileLab,
    WithholdingLab,
    blinded_chunk,
    channel_to,
    hello_request,
)
from tests.support.labs import (
    SHARED,
    addresses,
    code_of,
    ingest,
    log_of,
    make_labs,
    matched,
    pause,
    rounds_in,
    run_round,
    serving,
)


def test_reported_sightings_reach_the_holder_and_new_matches_stay_new(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    config = a.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[rounds]\n", "[rounds]\nreport_sightings = true\n"))
    a = Home.open(a.path)
    ingest(a, addresses(range(20)))
    ingest(b, addresses(range(15, 40)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            result = await run_round(at_a, "lab-b")
            assert (result.outcome, result.matches, result.new_matches) == ("committed", 5, 5)
            assert await matched(at_a) == sorted(addresses(range(15, 20)))
            for operator, sightings in ((at_b, 5), (at_a, 0)):
                status = await operator.Status(operator_pb2.StatusRequest())
                assert status.peers[0].sightings == sightings

    asyncio.run(journey())


@pytest.mark.spec("9.7-3")
def test_a_node_that_stops_after_stating_a_commit_signs_no_abort(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        hostile = HostileLab(b, a.card)
        async with hostile.serving():
            async with serving(a), channel_to(a.card, b) as stub:
                header = await hostile.agree(stub)
                chunk = exchange_pb2.EvaluateRequest(round_id=header.round_id, blinded=blinded_chunk())
                await stub.Evaluate(chunk, timeout=TIMEOUT)
                stated = await stub.Close(
                    exchange_pb2.CloseRequest(round_id=header.round_id), timeout=TIMEOUT
                )
                assert CloseStatement.decode(stated.encoded_statement).outcome is Outcome.COMMITTED
            assert hostile.closed is None

    asyncio.run(journey())
    assert [type(entry) for entry in rounds_in(log_of(a))] == [RoundAgreed]
    assert _states(a) == [RoundState.UNCONFIRMED]


@pytest.mark.spec("9.7-3")
def test_a_node_that_is_aborting_signs_no_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    aborting, asked = threading.Event(), threading.Event()
    finish = Rounds.finish

    def held(self: Rounds, *arguments: object) -> None:
        if RoundState.ABORTED in arguments:
            aborting.set()
            asked.wait(TIMEOUT)
        finish(self, *arguments)

    monkeypatch.setattr(Rounds, "finish", held)

    async def journey() -> None:
        hostile = HostileLab(b, a.card)
        async with hostile.serving(), AsyncExitStack() as node, channel_to(a.card, b) as stub:
            await node.enter_async_context(serving(a))
            header = await hostile.agree(stub)
            chunk = exchange_pb2.EvaluateRequest(round_id=header.round_id, blinded=blinded_chunk())
            await stub.Evaluate(chunk, timeout=TIMEOUT)
            stopping = asyncio.create_task(node.aclose())
            await asyncio.to_thread(aborting.wait, TIMEOUT)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Close(exchange_pb2.CloseRequest(round_id=header.round_id), timeout=TIMEOUT)
            asked.set()
            await stopping
            assert code_of(caught.value) == "ROUND_ABORTED"
            assert hostile.closed is not None
            assert hostile.closed.outcome is Outcome.ABORTED

    asyncio.run(journey())
    assert _states(a) == [RoundState.ABORTED]


def test_a_chunk_that_is_under_way_when_a_round_ends_is_not_charged_after_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    charging, ended = threading.Event(), threading.Event()
    charge, finish = HolderStore.charge, Rounds.finish

    def late(self: HolderStore, *arguments: Any) -> None:
        charging.set()
        ended.wait(TIMEOUT)
        charge(self, *arguments)

    def said(self: Rounds, *arguments: Any) -> None:
        finish(self, *arguments)
        ended.set()

    monkeypatch.setattr(HolderStore, "charge", late)
    monkeypatch.setattr(Rounds, "finish", said)

    async def journey() -> None:
        hostile = HostileLab(b, a.card)
        async with hostile.serving(), AsyncExitStack() as node, channel_to(a.card, b) as stub:
            await node.enter_async_context(serving(a))
            header = await hostile.agree(stub)
            chunk = exchange_pb2.EvaluateRequest(round_id=header.round_id, blinded=blinded_chunk())
            asked = asyncio.ensure_future(stub.Evaluate(chunk, timeout=TIMEOUT))
            await asyncio.to_thread(charging.wait, TIMEOUT)
            await node.aclose()
            with pytest.raises(grpc.aio.AioRpcError):
                await asked

    asyncio.run(journey())
    assert not [entry for entry in log_of(a) if isinstance(entry, ChunkCharged)]
    assert _states(a) == [RoundState.ABORTED]


@pytest.mark.spec("9.7-1")
def test_a_node_that_stops_while_it_records_a_commit_has_committed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses([7]))
    committing, stopping = threading.Event(), threading.Event()
    finish, fail = Rounds.finish, Closer.fail
    ends: list[object] = []

    def held(self: Rounds, round_id: bytes, state: RoundState, *arguments: Any) -> None:
        ends.append(state)
        committing.set()
        stopping.wait(TIMEOUT)
        finish(self, round_id, state, *arguments)

    async def failing(self: Closer, *arguments: Any) -> None:
        stopping.set()
        await fail(self, *arguments)

    monkeypatch.setattr(Rounds, "finish", held)
    monkeypatch.setattr(Closer, "fail", failing)
    hostile = CommittingLab(b, a.card)
    hostile.flag(addresses([7])[0])

    async def journey() -> None:
        request = operator_pb2.StartRoundRequest(peer="lab-b", kind=SHARED, collection="infrastructure")
        async with hostile.serving(), AsyncExitStack() as node:
            (at_a,) = await node.enter_async_context(serving(a))
            call = at_a.StartRound(request)
            await asyncio.to_thread(committing.wait, TIMEOUT)
            await node.aclose()
            call.cancel()

    asyncio.run(journey())
    assert ends == [RoundState.COMMITTED]
    assert _states(a) == [RoundState.COMMITTED]


@pytest.mark.spec("9.7-4")
def test_an_abort_that_follows_a_signed_commit_is_kept_and_not_countersigned(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> bytes:
        hostile = HostileLab(b, a.card)
        async with hostile.serving(), serving(a), channel_to(a.card, b) as stub:
            header = await hostile.agree(stub)
            chunk = exchange_pb2.EvaluateRequest(round_id=header.round_id, blinded=blinded_chunk())
            await stub.Evaluate(chunk, timeout=TIMEOUT)
            await stub.Close(exchange_pb2.CloseRequest(round_id=header.round_id), timeout=TIMEOUT)
            abort = CloseStatement.abort(header.digest(), Code.INTERNAL).encode()
            signature = signatures.sign(b.identity, abort)
            await stub.Close(
                exchange_pb2.CloseRequest(
                    round_id=header.round_id, encoded_statement=abort, signature=signature
                ),
                timeout=TIMEOUT,
            )
        return signature

    signature = asyncio.run(journey())
    agreed, closed = rounds_in(log_of(a))
    assert isinstance(agreed, RoundAgreed)
    assert isinstance(closed, RoundClosed)
    assert (closed.own_signature, closed.peer_signature) == (b"", signature)
    assert _states(a) == [RoundState.UNCONFIRMED]


def test_an_initiator_that_is_cut_off_while_it_confirms_has_committed(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses([7]))
    hostile = CommittingLab(b, a.card)
    hostile.flag(addresses([7])[0])

    async def journey() -> None:
        request = operator_pb2.StartRoundRequest(peer="lab-b", kind=SHARED, collection="infrastructure")
        async with hostile.serving(), serving(a) as (at_a,):
            call = at_a.StartRound(request)
            async with asyncio.timeout(TIMEOUT):
                await hostile.confirmed.wait()
                call.cancel()
                while await matched(at_a) != addresses([7]):
                    await pause()

    asyncio.run(journey())
    assert [type(entry) for entry in rounds_in(log_of(a))] == [RoundProposed, RoundAgreed, RoundClosed]
    assert hostile.outcomes == [Outcome.COMMITTED]
    assert _states(a) == [RoundState.COMMITTED]


@pytest.mark.spec("9.7-1")
def test_a_half_that_still_runs_is_not_committed(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(5)))
    hostile = WithholdingLab(b, a.card)

    async def journey() -> None:
        async with hostile.serving(), serving(a), channel_to(a.card, b) as stub:
            await hostile.agree(stub)
            async with asyncio.timeout(TIMEOUT):
                await hostile.asked_for_table.wait()
                await hostile.answered.wait()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Close(hostile.commit(), timeout=TIMEOUT)
            assert code_of(caught.value) == "NOT_READY"

    asyncio.run(journey())
    closed = [entry for entry in rounds_in(log_of(a)) if isinstance(entry, RoundClosed)]
    outcomes = {CloseStatement.decode(entry.statement).outcome for entry in closed}
    assert outcomes == {Outcome.ABORTED}
    assert _states(a) == [RoundState.ABORTED]


def test_what_is_asked_after_an_abort_is_answered_with_its_reason(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(5)))
    hostile = HostileLab(b, a.card)
    heard: list[str] = []

    def no_proof(method: str, response: Any) -> Any:
        return exchange_pb2.EvaluateResponse(proof=bytes(64)) if method == "Evaluate" else response

    async def ask_on(_request: object, _context: object) -> exchange_pb2.CloseResponse:
        round_id = hostile.header.round_id
        async with channel_to(a.card, b) as stub:
            chunk = exchange_pb2.EvaluateRequest(round_id=round_id, blinded=blinded_chunk())
            page = exchange_pb2.ListTagsRequest(round_id=round_id)
            for call in (stub.Evaluate(chunk, timeout=TIMEOUT), stub.ListTags(page, timeout=TIMEOUT)):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                heard.append(code_of(caught.value))
        return exchange_pb2.CloseResponse()

    hostile.answer, hostile.Close = no_proof, ask_on

    async def journey() -> None:
        async with hostile.serving(), serving(a) as (at_a,):
            assert (await run_round(at_a, "lab-b")).code == "BAD_LENGTH"

    asyncio.run(journey())
    assert heard == ["BAD_LENGTH"] * 2


@pytest.mark.spec("9.4-1")
def test_a_refused_proposal_leaves_nothing_behind(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(300)))

    async def journey() -> None:
        hostile = HostileLab(b, a.card)
        honest = hostile.offer()
        hostile.offer = lambda: Offer(9, honest.public_key, 300, 300, honest.table)
        async with hostile.serving(), serving(a), channel_to(a.card, b) as stub:
            response = await stub.Hello(hello_request(), timeout=TIMEOUT)
            header = hostile.compose(Offer.decode(response.encoded_offer))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Propose(hostile.sign(header), timeout=TIMEOUT)
            assert code_of(caught.value) == "CAP_EXCEEDED"

    asyncio.run(journey())
    assert rounds_in(log_of(a)) == []
    database = Database(a.path / "mandorla.db")
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(ASKED_EPOCHS)) == 0
    database.close()


def _states(home: Home) -> list[RoundState]:
    store = home.open_store()
    states = [record.state for record in store.rounds.recent(9)]
    store.close()
    return states
