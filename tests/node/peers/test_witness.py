"""Labs cosign each other's logs, and a lab that shows its log in two ways is found out for good."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import grpc
import pytest

from mandorla.v1 import exchange_pb2, exchange_pb2_grpc, operator_pb2
from mandorla_node.home.folder import Home
from mandorla_protocol.errors import Code
from mandorla_protocol.log.checkpoint import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from mandorla_protocol.log.entries import PeerCaught, PeerCosigned, RoundAgreed
from mandorla_protocol.merkle import Frontier, hash_leaf
from tests.support.commands import Run
from tests.support.hostile import TIMEOUT, HostileLab, channel_to
from tests.support.labs import addresses, code_of, ingest, log_of, make_labs, run_round, serving

LEAVES = [hash_leaf(bytes([number])) for number in range(9)]


def request(
    home: Home, size: int, root: bytes | None = None, *, old: int = 0
) -> exchange_pb2.AddCheckpointRequest:
    """Show a checkpoint that a lab signed, with the proof from nothing, or none."""
    root = root or Frontier().extend(LEAVES[:size]).root
    note = sign_checkpoint(home.identity, Checkpoint(home.card.log_origin, size, root))
    return exchange_pb2.AddCheckpointRequest(checkpoint=note, old_size=old)


async def refusal(stub: exchange_pb2_grpc.ExchangeAsyncStub, shown: exchange_pb2.AddCheckpointRequest) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.AddCheckpoint(shown, timeout=TIMEOUT)
    return code_of(caught.value)


def test_after_a_round_each_lab_has_cosigned_the_others_log_to_its_end(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(5)))

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            assert (await run_round(at_a, "lab-b")).outcome == "committed"
            for operator in (at_a, at_b):
                status = await operator.Status(operator_pb2.StatusRequest())
                assert status.peers[0].cosigned > 0
                assert not status.peers[0].caught

    asyncio.run(journey())
    for own, other in ((a, b), (b, a)):
        seen = [entry for entry in log_of(own) if isinstance(entry, PeerCosigned)]
        log = LogKey(other.card.log_origin, other.card.identity)
        store = other.open_store()
        for entry in seen:
            checkpoint = open_checkpoint(entry.note, log)
            assert store.log.root_at(checkpoint.size) == checkpoint.root
            assert store.log.is_cosigned(checkpoint.size, own.card.identity)
        store.close()
        assert len(seen) == 2


@pytest.mark.spec("18.4-1", "18.5-1")
def test_a_peer_that_shows_two_logs_is_refused_for_good_and_the_proof_is_a_file(
    folder: Path, run: Run
) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        async with serving(a), channel_to(a.card, b) as stub:
            first = await stub.AddCheckpoint(request(b, 3), timeout=TIMEOUT)
            again = await stub.AddCheckpoint(request(b, 3, old=3), timeout=TIMEOUT)
            assert first.cosignature == again.cosignature != b""
            assert await refusal(stub, request(b, 3, bytes(32), old=3)) == "EQUIVOCATION"

    async def afterwards() -> None:
        async with serving(a) as (at_a,), channel_to(a.card, b) as stub:
            assert await refusal(stub, request(b, 3, old=3)) == "EQUIVOCATION"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b")
            assert code_of(caught.value) == "EQUIVOCATION"
            assert (await at_a.Status(operator_pb2.StatusRequest())).peers[0].caught
            ran = await asyncio.to_thread(run, "status", "--home", a.path)
            assert "lab-b showed its log in two ways" in ran.out

    asyncio.run(journey())
    assert [type(entry) for entry in log_of(a)] == [PeerCosigned, PeerCaught]
    run("peer", "remove", "lab-b", "--home", a.path)
    card = folder / "b.card"
    card.write_text(b.card.to_json())
    run("peer", "add", card, "--home", a.path)
    asyncio.run(afterwards())
    proof = folder / "lab-b.fraud"
    assert run("audit", "fraud", "lab-b", "--home", a.path, "-o", proof).status == 0
    ran = run("audit", "verify", proof)
    assert ran.status == Code.CHECK_FAILED.info.exit_status
    assert "signed two trees of 3 entries" in ran.out


@pytest.mark.spec("18.4-1")
def test_a_checkpoint_that_does_not_extend_what_was_seen_is_not_cosigned(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        async with serving(a), channel_to(a.card, b) as stub:
            seen = await stub.AddCheckpoint(request(b, 4), timeout=TIMEOUT)
            # Two leaves more, and the hash over them: the proof from four to six.
            good = request(b, 6, old=4)
            good.proof.append(Frontier().extend(LEAVES[4:6]).root)
            for wrong in (
                request(b, 6, old=4),
                request(b, 3, old=4),
                exchange_pb2.AddCheckpointRequest(
                    checkpoint=good.checkpoint, old_size=4, proof=[bytes(32)] * 64
                ),
                exchange_pb2.AddCheckpointRequest(checkpoint=good.checkpoint, old_size=4, proof=[b"short"]),
                exchange_pb2.AddCheckpointRequest(checkpoint=b"noise", old_size=4),
                request(a, 6, old=4),
            ):
                assert await refusal(stub, wrong) == "BAD_CHECKPOINT"
            for old in (0, 3, 5):
                stale = exchange_pb2.AddCheckpointRequest(
                    checkpoint=good.checkpoint, old_size=old, proof=good.proof
                )
                answer = await stub.AddCheckpoint(stale, timeout=TIMEOUT)
                assert (answer.cosignature, answer.latest) == (b"", request(b, 4).checkpoint)
            assert (await stub.AddCheckpoint(good, timeout=TIMEOUT)).cosignature not in {
                b"",
                seen.cosignature,
            }

    asyncio.run(journey())
    assert len(log_of(a)) == 2


@pytest.mark.spec("18.3-3")
def test_a_store_that_was_set_back_signs_nothing_that_contradicts_its_past(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    backup = folder / "backup.db"

    async def rounds(count: int) -> None:
        async with serving(a, b) as (at_a, _):
            for _ in range(count):
                assert (await run_round(at_a, "lab-b")).outcome == "committed"

    async def after_the_restore() -> None:
        async with serving(a, b) as (at_a, at_b):
            for operator, peer in ((at_a, "lab-b"), (at_b, "lab-a")):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await run_round(operator, peer)
                assert code_of(caught.value) == "STORE_FAILED"
            assert not (await at_b.Status(operator_pb2.StatusRequest())).peers[0].caught

    asyncio.run(rounds(1))
    database = a.path / "mandorla.db"
    a.open_store().close()
    shutil.copy(database, backup)
    asyncio.run(rounds(1))
    shutil.copy(backup, database)
    for leftover in ("mandorla.db-wal", "mandorla.db-shm"):
        (a.path / leftover).unlink(missing_ok=True)
    asyncio.run(after_the_restore())


def test_a_cosignature_that_was_lost_is_asked_for_again(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    hostile = HostileLab(b, a.card)
    lost = []

    def lose(method: str, response: exchange_pb2.AddCheckpointResponse) -> exchange_pb2.AddCheckpointResponse:
        if method == "AddCheckpoint" and response.cosignature and not lost:
            lost.append(response.cosignature)
            response.ClearField("cosignature")
        return response

    hostile.answer = lose

    async def journey() -> None:
        async with hostile.serving(), serving(a) as (at_a,):
            await run_round(at_a, "lab-b")

    asyncio.run(journey())
    assert lost
    assert "Propose" in hostile.calls


@pytest.mark.spec("18.4-2")
@pytest.mark.parametrize("field", ["cosignature", "latest"])
@pytest.mark.parametrize("answer", [b"noise", bytes(72)])
def test_without_a_cosignature_that_holds_there_is_no_round(folder: Path, field: str, answer: bytes) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    hostile = HostileLab(b, a.card)

    def forge(
        method: str, response: exchange_pb2.AddCheckpointResponse
    ) -> exchange_pb2.AddCheckpointResponse:
        if method == "AddCheckpoint":
            setattr(response, field, answer)
        return response

    hostile.answer = forge

    async def journey() -> None:
        async with hostile.serving(), serving(a) as (at_a,):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b")
            assert code_of(caught.value) == "BAD_CHECKPOINT"

    asyncio.run(journey())
    assert "Propose" not in hostile.calls


@pytest.mark.spec("18.4-2")
def test_a_header_is_not_signed_for_an_initiator_that_does_not_cosign(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    hostile = HostileLab(b, a.card)

    def forge(
        method: str, response: exchange_pb2.AddCheckpointResponse
    ) -> exchange_pb2.AddCheckpointResponse:
        if method == "AddCheckpoint" and response.cosignature:
            response.cosignature = bytes(72)
        return response

    hostile.answer = forge

    async def journey() -> None:
        async with hostile.serving(), serving(a), channel_to(a.card, b) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await hostile.agree(stub)
            assert code_of(caught.value) == "BAD_CHECKPOINT"

    asyncio.run(journey())
    assert "AddCheckpoint" in hostile.calls
    assert not [entry for entry in log_of(a) if isinstance(entry, RoundAgreed)]
