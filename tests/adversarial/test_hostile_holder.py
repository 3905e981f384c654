"""What a holder that breaks the protocol gets from a querier: an aborted round, and no match from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from mandorla.v1 import exchange_pb2, operator_pb2
from mandorla_node.home.folder import Home
from mandorla_protocol.epochs import epoch_keys
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label, seal, split_output
from mandorla_protocol.session.transcript import CloseStatement
from mandorla_protocol.signatures import sign
from mandorla_protocol.sizes import CHUNK_SIZE
from mandorla_protocol.table import Operation, TableCommitment, TableEntry
from tests.support.attacks.answers import evaluate_as, flipped, same, swapped
from tests.support.attacks.model import Setup
from tests.support.hostile import ENGINE, TIMEOUT, CommittingLab, HostileLab, Table
from tests.support.labs import addresses, code_of, ingest, make_labs, matched, run_round, serving


def outcome_against(
    folder: Path,
    setup: Setup,
    values: list[str] | None = None,
    lab: type[HostileLab] = HostileLab,
    call_timeout: float = TIMEOUT,
) -> tuple[str, HostileLab]:
    """Let lab-a's real node start a round with a hostile lab-b; return the code, and the hostile lab."""
    a, b = make_labs(folder, "lab-a", "lab-b")
    limits = f"[limits]\nretries = 0\ncall_timeout = {call_timeout:.0f}\n"
    config = a.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[limits]\n", limits))
    a = Home.open(a.path)
    ingest(a, addresses(range(5)) if values is None else values)
    hostile = lab(b, a.card)
    setup(hostile)

    async def journey() -> str:
        async with hostile.serving(), serving(a) as (at_a,):
            try:
                code = (await run_round(at_a, "lab-b")).code
            except grpc.aio.AioRpcError as error:
                code = code_of(error)
            assert await matched(at_a) == []
            status = await at_a.Status(operator_pb2.StatusRequest())
            assert all(record.state in ("aborted", "unconfirmed") for record in status.rounds)
            return code

    return asyncio.run(journey()), hostile


@pytest.mark.spec("5.2-1", "7.3-1")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"epoch_number": 1}, "EPOCH_RETIRED"),
        ({"epoch_number": 0}, "BAD_HEADER"),
        ({"table": TableCommitment(1, 255, bytes(32))}, "TABLE_MISMATCH"),
        ({"cap": 10}, "CAP_EXCEEDED"),
        ({"cap": 2**40, "budget": 2**40}, "BAD_HEADER"),
    ],
)
def test_an_offer_that_goes_back_on_an_earlier_one_is_refused(
    folder: Path, change: dict[str, object], expected: str
) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    hostile = HostileLab(b, a.card)
    honest = replace(hostile.offer(), epoch_number=2)
    hostile.offer = lambda: honest

    async def journey() -> str:
        async with hostile.serving(), serving(a) as (at_a,):
            await run_round(at_a, "lab-b")
            hostile.offer = lambda: replace(honest, **change)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b")
            return code_of(caught.value)

    assert asyncio.run(journey()) == expected


@pytest.mark.spec("5.2-2")
def test_a_changed_key_of_the_same_epoch_is_refused(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    hostile = HostileLab(b, a.card)

    async def journey() -> str:
        async with hostile.serving(), serving(a) as (at_a,):
            await run_round(at_a, "lab-b")
            hostile.keys = epoch_keys(ENGINE, bytes([1] * 32), hostile.epoch)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b")
            return code_of(caught.value)

    assert asyncio.run(journey()) == "TABLE_MISMATCH"


@pytest.mark.spec("6.5-1", "9.7-5")
def test_a_label_that_does_not_open_makes_no_match_and_the_holder_cannot_tell(folder: Path) -> None:
    """A holder that plants a tag with a bad label must not learn from the round's end who holds it."""
    value = addresses([7])[0]

    def plant(sealed: Callable[[bytes], bytes]) -> Setup:
        def setup(hostile: HostileLab) -> None:
            output = ENGINE.evaluate(hostile.keys, Indicator.parse("ipv4", value).token())
            tag, key = split_output(output)
            label = seal(Label(), key, tag, hostile.epoch, 1)
            planted = TableEntry(1, Operation.ADD, tag, sealed(label))
            hostile.table = Table(sorted([*hostile.table.entries[1:], planted], key=lambda e: e.tag))

        return setup

    seen = []
    for index, values in enumerate(([value], addresses([8]))):
        code, hostile = outcome_against(folder / str(index), plant(flipped), values)
        seen.append((code, hostile.calls, hostile.closed.outcome))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("method", ["Hello", "Propose", "Evaluate", "ListTags", "Close"])
@pytest.mark.parametrize("way", ["silent", "gone"])
def test_a_peer_that_goes_silent_or_away_ends_the_round_with_its_name(
    folder: Path, method: str, way: str
) -> None:
    def setup(hostile: HostileLab) -> None:
        honest = getattr(hostile, method)

        async def answer(request: Any, context: Any) -> Any:
            if method == "Close" and request.encoded_statement:
                return await honest(request, context)
            if way == "gone":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "")
            return await asyncio.Event().wait()

        setattr(hostile, method, answer)

    code, _ = outcome_against(folder, setup, call_timeout=2 if way == "silent" else TIMEOUT)
    assert code == ("PEER_UNAVAILABLE" if way == "gone" else "DEADLINE")


@pytest.mark.spec("9.9-5")
def test_a_peer_that_answers_with_its_own_words_cannot_put_them_into_ours(folder: Path) -> None:
    def setup(hostile: HostileLab) -> None:
        async def answer(request: Any, context: Any) -> Any:
            await context.abort(
                grpc.StatusCode.INTERNAL, "<script>", trailing_metadata=(("mandorla-code", "NO SUCH CODE"),)
            )

        hostile.Propose = answer

    assert outcome_against(folder, setup)[0] == "PEER_UNAVAILABLE"


def test_a_code_that_speaks_of_this_lab_is_not_taken_from_a_peer(folder: Path) -> None:
    def setup(hostile: HostileLab) -> None:
        async def answer(request: Any, context: Any) -> Any:
            await context.abort(grpc.StatusCode.INTERNAL, "", (("mandorla-code", "BAD_HOME"),))

        hostile.Propose = answer

    assert outcome_against(folder, setup)[0] == "PEER_UNAVAILABLE"


def test_a_holder_that_fails_half_way_learns_nothing_from_the_next_round(folder: Path) -> None:
    """What was asked before the failure is asked again: its class must not show how much was left."""
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(CHUNK_SIZE + 1)))
    hostile = HostileLab(b, a.card)
    honest = hostile.Evaluate
    sizes: list[int] = []

    async def answer_the_first_chunk_only(request: Any, context: Any) -> Any:
        sizes.append(len(request.blinded) // 32)
        if request.index:
            while not answered.is_set():
                await answered.wait()
            await context.abort(grpc.StatusCode.INTERNAL, "", (("mandorla-code", "BUDGET_EXCEEDED"),))
        response = await honest(request, context)
        answered.set()
        return response

    hostile.Evaluate = answer_the_first_chunk_only

    async def journey() -> None:
        nonlocal answered
        answered = asyncio.Event()
        async with hostile.serving(), serving(a) as (at_a,):
            for _ in range(2):
                assert (await run_round(at_a, "lab-b")).code == "BUDGET_EXCEEDED"

    answered = asyncio.Event()
    asyncio.run(journey())
    assert sorted(sizes[:2]) == sorted(sizes[2:])


@pytest.mark.spec("10-1")
def test_an_abort_carries_a_signed_reason(folder: Path) -> None:
    _, hostile = outcome_against(folder, evaluate_as(swapped, same))
    assert isinstance(hostile.closed, CloseStatement)
    assert hostile.closed.code == "BAD_PROOF"


@pytest.mark.spec("9.7-1")
@pytest.mark.parametrize(
    ("change", "signed", "expected"),
    [
        ({"initiator_half": bytes(32)}, True, "TRANSCRIPT_MISMATCH"),
        ({"responder_half": bytes(32)}, True, "TRANSCRIPT_MISMATCH"),
        ({"header_digest": bytes(32)}, True, "TRANSCRIPT_MISMATCH"),
        ({}, False, "BAD_SIGNATURE"),
    ],
)
def test_a_responder_that_states_another_round_gets_no_commit(
    folder: Path, change: dict[str, bytes], signed: bool, expected: str
) -> None:
    received: list[CloseStatement] = []

    def setup(hostile: HostileLab) -> None:
        honest = hostile.Close

        async def close(request: Any, context: Any) -> Any:
            if request.encoded_statement:
                received.append(CloseStatement.decode(request.encoded_statement))
                return exchange_pb2.CloseResponse()
            response = await honest(request, context)
            statement = replace(CloseStatement.decode(response.encoded_statement), **change).encode()
            signature = sign(hostile.home.identity, statement) if signed else bytes(64)
            return exchange_pb2.CloseResponse(encoded_statement=statement, signature=signature)

        hostile.Close = close

    assert outcome_against(folder, setup, lab=CommittingLab)[0] == expected
    assert [statement.code for statement in received] == [expected]
