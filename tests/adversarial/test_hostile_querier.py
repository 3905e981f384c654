"""What a pinned lab that breaks the protocol gets from a holder: a code, and nothing charged for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest

from mandorla.v1 import exchange_pb2, exchange_pb2_grpc, operator_pb2, operator_pb2_grpc
from mandorla_node.peers import messages
from mandorla_protocol import signatures
from mandorla_protocol.errors import Code
from mandorla_protocol.header import Offer, RoundHeader
from mandorla_protocol.session.transcript import CloseStatement, Outcome
from tests.support.hostile import TIMEOUT, HostileLab, blinded_chunk, channel_to, hello_request
from tests.support.labs import addresses, code_of, ingest, make_labs, serving

Attack: TypeAlias = (
    "Callable[[HostileLab, exchange_pb2_grpc.ExchangeAsyncStub, operator_pb2_grpc.OperatorAsyncStub], Any]"
)


def against_a_node(folder: Path, attack: Attack) -> None:
    """Let lab-b, which is hostile, speak to lab-a's real node; lab-b also answers, honestly."""
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(30)))

    async def journey() -> None:
        hostile = HostileLab(b, a.card)
        async with hostile.serving(), serving(a) as (at_a,), channel_to(a.card, b) as stub:
            await attack(hostile, stub, at_a)

    asyncio.run(journey())


async def code(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    details = caught.value.details() or ""
    assert "198.18" not in details
    return code_of(caught.value)


async def spent(operator: operator_pb2_grpc.OperatorAsyncStub) -> int:
    status = await operator.Status(operator_pb2.StatusRequest())
    return sum(budget.spent for budget in status.peers[0].budgets)


def evaluate(
    header: RoundHeader, index: int, blinded: bytes, round_id: bytes | None = None
) -> exchange_pb2.EvaluateRequest:
    return exchange_pb2.EvaluateRequest(
        round_id=header.round_id if round_id is None else round_id, index=index, blinded=blinded
    )


@pytest.mark.spec("9.5-1")
def test_a_chunk_that_comes_again_gets_the_same_answer_and_is_charged_once(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        header = await hostile.agree(stub)
        chunk = blinded_chunk()
        first = await stub.Evaluate(evaluate(header, 0, chunk), timeout=TIMEOUT)
        again = await stub.Evaluate(evaluate(header, 0, chunk), timeout=TIMEOUT)
        assert first == again
        other = evaluate(header, 0, blinded_chunk())
        assert await code(stub.Evaluate(other, timeout=TIMEOUT)) == "CHUNK_REUSED"
        assert await spent(at_a) == 256

    against_a_node(folder, attack)


@pytest.mark.spec("9-1")
def test_chunks_out_of_range_unknown_rounds_and_closed_rounds_are_refused(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        header = await hostile.agree(stub)
        chunk = blinded_chunk()
        beyond = evaluate(header, 2**31, chunk)
        assert await code(stub.Evaluate(beyond, timeout=TIMEOUT)) == "CHUNK_OUT_OF_RANGE"
        unknown = evaluate(header, 0, chunk, bytes(16))
        assert await code(stub.Evaluate(unknown, timeout=TIMEOUT)) == "UNKNOWN_ROUND"
        short = evaluate(header, 0, chunk, b"x")
        assert await code(stub.Evaluate(short, timeout=TIMEOUT)) == "BAD_LENGTH"
        page = exchange_pb2.ListTagsRequest(round_id=header.round_id, start=2**40)
        assert await code(stub.ListTags(page, timeout=TIMEOUT)) == "CHUNK_OUT_OF_RANGE"
        tags = exchange_pb2.ReportRequest(round_id=header.round_id, tags=b"x" * 17)
        assert await code(stub.Report(tags, timeout=TIMEOUT)) == "BAD_LENGTH"
        await stub.Report(
            exchange_pb2.ReportRequest(round_id=header.round_id, tags=b"x" * 16), timeout=TIMEOUT
        )
        statement = CloseStatement.abort(header.digest(), Code.INTERNAL).encode()
        await stub.Close(
            exchange_pb2.CloseRequest(
                round_id=header.round_id,
                encoded_statement=statement,
                signature=signatures.sign(hostile.home.identity, statement),
            ),
            timeout=TIMEOUT,
        )
        late = evaluate(header, 0, chunk)
        assert await code(stub.Evaluate(late, timeout=TIMEOUT)) == "UNKNOWN_ROUND"
        assert await spent(at_a) == 0

    against_a_node(folder, attack)


@pytest.mark.spec("9.4-1")
def test_a_header_that_is_unsigned_altered_or_replayed_is_refused(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        response = await stub.Hello(hello_request(), timeout=TIMEOUT)
        proposal = hostile.sign(hostile.compose(Offer.decode(response.encoded_offer)))
        encoded = proposal.encoded_header
        for name, request, expected in (
            ("unsigned", {"encoded_header": encoded}, "BAD_SIGNATURE"),
            ("bit of the signature", {"signature": flip(proposal.signature)}, "BAD_SIGNATURE"),
            ("bit of the purpose", {"encoded_header": flip(encoded, -40)}, "BAD_SIGNATURE"),
            ("trailing byte", {"encoded_header": encoded + b"\x00"}, "BAD_ENCODING"),
            ("cut short", {"encoded_header": encoded[:-1]}, "BAD_ENCODING"),
            ("empty", {"encoded_header": b""}, "BAD_ENCODING"),
        ):
            fields = {"encoded_header": encoded, "signature": proposal.signature} | request
            if name == "unsigned":
                fields["signature"] = b""
            got = await code(stub.Propose(exchange_pb2.ProposeRequest(**fields), timeout=TIMEOUT))
            assert got == expected, name
        await stub.Propose(proposal, timeout=TIMEOUT)
        assert await code(stub.Propose(proposal, timeout=TIMEOUT)) == "WRONG_STATE"
        again = hostile.sign(hostile.compose(Offer.decode(response.encoded_offer)))
        await stub.Propose(again, timeout=TIMEOUT)
        status = await at_a.Status(operator_pb2.StatusRequest())
        assert sorted(r.state for r in status.rounds)[-1] in ("open", "unconfirmed")
        assert len(status.rounds) == 2, "a new proposal ends the round that its initiator left"

    against_a_node(folder, attack)


def flip(value: bytes, index: int = 0) -> bytes:
    changed = bytearray(value)
    changed[index] ^= 1
    return bytes(changed)


@pytest.mark.spec("9.7-1")
def test_a_close_over_another_transcript_is_refused(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        header = await hostile.agree(stub)
        await stub.Evaluate(evaluate(header, 0, blinded_chunk()), timeout=TIMEOUT)
        ask = exchange_pb2.CloseRequest(round_id=header.round_id)
        theirs = await stub.Close(ask, timeout=TIMEOUT)
        honest = CloseStatement.decode(theirs.encoded_statement)
        signatures.verify(hostile.victim.identity, theirs.encoded_statement, theirs.signature)
        for altered in (
            replace(honest, header_digest=bytes(32)),
            replace(honest, initiator_half=bytes(32)),
            replace(honest, responder_half=bytes(32)),
        ):
            encoded = altered.encode()
            request = exchange_pb2.CloseRequest(
                round_id=header.round_id,
                encoded_statement=encoded,
                signature=signatures.sign(hostile.home.identity, encoded),
            )
            assert await code(stub.Close(request, timeout=TIMEOUT)) == "TRANSCRIPT_MISMATCH"
        encoded = honest.encode()
        unsigned = exchange_pb2.CloseRequest(
            round_id=header.round_id, encoded_statement=encoded, signature=bytes(64)
        )
        assert await code(stub.Close(unsigned, timeout=TIMEOUT)) == "BAD_SIGNATURE"
        assert honest.outcome is Outcome.COMMITTED
        status = await at_a.Status(operator_pb2.StatusRequest())
        assert [record.state for record in status.rounds] == ["open"]

    against_a_node(folder, attack)


@pytest.mark.spec("9.7-2")
def test_no_evaluation_escapes_a_signed_statement(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        header = await hostile.agree(stub)
        chunk = blinded_chunk()
        first = await stub.Evaluate(evaluate(header, 0, chunk), timeout=TIMEOUT)
        ask = exchange_pb2.CloseRequest(round_id=header.round_id)
        theirs = await stub.Close(ask, timeout=TIMEOUT)
        more = evaluate(header, 1, blinded_chunk())
        assert await code(stub.Evaluate(more, timeout=TIMEOUT)) == "WRONG_STATE"
        assert await stub.Evaluate(evaluate(header, 0, chunk), timeout=TIMEOUT) == first
        assert (await stub.Close(ask, timeout=TIMEOUT)).encoded_statement == theirs.encoded_statement
        assert await spent(at_a) == 256

    against_a_node(folder, attack)


@pytest.mark.spec("9.7-4")
def test_an_abort_after_a_stated_commit_does_not_undo_it(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        header = await hostile.agree(stub)
        await stub.Evaluate(evaluate(header, 0, blinded_chunk()), timeout=TIMEOUT)
        await stub.Close(exchange_pb2.CloseRequest(round_id=header.round_id), timeout=TIMEOUT)
        abort = CloseStatement.abort(header.digest(), Code.INTERNAL).encode()
        request = exchange_pb2.CloseRequest(
            round_id=header.round_id,
            encoded_statement=abort,
            signature=signatures.sign(hostile.home.identity, abort),
        )
        await stub.Close(request, timeout=TIMEOUT)
        status = await at_a.Status(operator_pb2.StatusRequest())
        assert [(r.state, r.code) for r in status.rounds] == [("unconfirmed", "INTERNAL")]

    against_a_node(folder, attack)


@pytest.mark.spec("9.8-1")
def test_a_report_is_answered_alike_whether_the_tags_live_or_not(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        header = await hostile.agree(stub)
        page = await stub.ListTags(
            exchange_pb2.ListTagsRequest(round_id=header.round_id, start=0), timeout=TIMEOUT
        )
        listed = b"".join(
            sorted(entry.tag for part in messages.parts_from(page, 0) for entry in part.entries())
        )
        answers = [
            await stub.Report(
                exchange_pb2.ReportRequest(round_id=header.round_id, tags=tags), timeout=TIMEOUT
            )
            for tags in (bytes(16), listed, listed, b"")
        ]
        assert [answer.SerializeToString() for answer in answers] == [b""] * 4
        status = await at_a.Status(operator_pb2.StatusRequest())
        assert status.peers[0].sightings == 30, "each indicator once, and padding never"

    against_a_node(folder, attack)


@pytest.mark.spec("9.9-4")
def test_a_refusal_says_its_code_and_its_public_message_and_nothing_else(folder: Path) -> None:
    async def attack(hostile, stub, at_a) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Evaluate(exchange_pb2.EvaluateRequest(round_id=bytes(16)), timeout=TIMEOUT)
        error, expected = caught.value, Code.UNKNOWN_ROUND.info
        assert (error.code().name, error.details()) == (expected.status.value, expected.message)
        assert [tuple(pair) for pair in error.trailing_metadata()] == [("mandorla-code", "UNKNOWN_ROUND")]
        assert not error.initial_metadata()

    against_a_node(folder, attack)


def test_a_third_lab_cannot_use_the_round_of_two_others(folder: Path) -> None:
    a, b, c = make_labs(folder, "lab-a", "lab-b", "lab-c")

    async def journey() -> None:
        hostile = HostileLab(b, a.card)
        async with (
            hostile.serving(),
            serving(a) as (at_a,),
            channel_to(a.card, b) as from_b,
            channel_to(a.card, c) as from_c,
        ):
            header = await hostile.agree(from_b)
            stolen = evaluate(header, 0, blinded_chunk())
            assert await code(from_c.Evaluate(stolen, timeout=TIMEOUT)) == "UNKNOWN_ROUND"
            assert await spent(at_a) == 0

    asyncio.run(journey())
