"""A node that is asked to stop does so in time, begins nothing more, and leaves no record without its end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.store import RoundState
from mandorla_node.store.rounds import Rounds
from mandorla_protocol.header import Offer
from mandorla_protocol.log.entries import RoundAgreed, RoundEnded
from tests.support.hostile import TIMEOUT, HostileLab, channel_to, hello_request
from tests.support.labs import answering, code_of, log_of, make_labs, node_process, pause, serving
from tests.support.patience import PATIENCE
from tests.support.watch import Stub, watching_infrastructure


class SlowAgreement:
    """Holds the thread that records an agreement, until told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        agree = Rounds.record_agreement

        def slow(records: Rounds, *arguments: Any) -> None:
            self.begun.set()
            self.go_on.wait(PATIENCE)
            agree(records, *arguments)

        monkeypatch.setattr(Rounds, "record_agreement", slow)


def ends(home: Any) -> list[tuple[type, str]]:
    entries = [entry for entry in log_of(home) if isinstance(entry, RoundAgreed | RoundEnded)]
    return [(type(entry), getattr(entry, "state", "")) for entry in entries]


ENDED = [(RoundAgreed, ""), (RoundEnded, RoundState.ABORTED.value)]


def test_a_round_that_is_agreed_while_the_node_stops_has_an_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    slow = SlowAgreement(monkeypatch)

    async def journey() -> None:
        lab = HostileLab(b, a.card)
        async with lab.serving(), AsyncExitStack() as node, channel_to(a.card, b) as stub:
            await node.enter_async_context(serving(a))
            proposing = asyncio.create_task(lab.agree(stub))
            await asyncio.to_thread(slow.begun.wait, PATIENCE)
            stopping = asyncio.create_task(node.aclose())
            while True:
                try:
                    await stub.Hello(hello_request(), timeout=TIMEOUT)
                except grpc.aio.AioRpcError as error:
                    assert code_of(error) == "NOT_READY", "a peer that asks again finds the node that follows"
                    break
                await pause()
            slow.go_on.set()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await proposing
            assert code_of(caught.value) == "ROUND_ABORTED"
            await stopping

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    assert ends(a) == ENDED


def test_a_round_whose_proposer_hangs_up_while_it_is_agreed_has_an_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    slow = SlowAgreement(monkeypatch)

    async def journey() -> None:
        lab = HostileLab(b, a.card)
        async with lab.serving(), serving(a) as (at_a,), channel_to(a.card, b) as stub:
            offer = Offer.decode((await stub.Hello(hello_request(), timeout=TIMEOUT)).encoded_offer)
            call = stub.Propose(lab.sign(lab.compose(offer)), timeout=TIMEOUT)
            await asyncio.to_thread(slow.begun.wait, PATIENCE)
            call.cancel()
            slow.go_on.set()
            while True:
                status = await at_a.Status(operator_pb2.StatusRequest(now=True))
                if [(one.state, one.code) for one in status.rounds] == [("aborted", "ROUND_ABORTED")]:
                    break
                await pause()
            # And it is in nobody's way.
            await lab.agree(stub)

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    assert ends(a)[:2] == ENDED


@pytest.mark.parametrize("first", [0, 1])
def test_who_stops_first_leaves_the_other_a_round_that_both_have_closed(folder: Path, first: int) -> None:
    """Whoever proposed it, the last word reaches the peer, which then need not wait for it when it stops."""
    homes = [watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b")]

    async def steps(at: Stub) -> list[str]:
        status = await at.Status(operator_pb2.StatusRequest(now=True))
        return [one.step for one in status.open_rounds]

    async def journey() -> None:
        async with AsyncExitStack() as staying, AsyncExitStack() as leaving:
            (at_first,) = await leaving.enter_async_context(serving(homes[first], watch=True))
            (at_other,) = await staying.enter_async_context(serving(homes[1 - first], watch=True))
            for at in (at_first, at_other):
                while await steps(at) != ["standing"]:
                    await pause()
            await leaving.aclose()
            while await steps(at_other):
                await pause()

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    for home in homes:
        store = home.open_store()
        assert {one.state for one in store.rounds.recent(9)} == {RoundState.COMMITTED}
        store.close()


def test_whoever_listens_or_feeds_holds_no_node_up(folder: Path) -> None:
    (a,) = make_labs(folder, "lab-a")

    async def endless() -> AsyncIterator[operator_pb2.IngestRequest]:
        options = operator_pb2.IngestOptions(set=operator_pb2.SET_OBSERVED)
        yield operator_pb2.IngestRequest(options=options)
        await asyncio.Event().wait()

    async def stopped(process: subprocess.Popen[bytes]) -> tuple[int, list[str]]:
        stub = await answering(a)
        calls = [stub.Follow(operator_pb2.FollowRequest()), stub.Ingest(endless())]
        waiting = asyncio.gather(calls[0].read(), calls[1], return_exceptions=True)
        process.terminate()
        status = await asyncio.to_thread(process.wait, PATIENCE)
        return status, [type(one).__name__ for one in await waiting]

    with node_process(a) as process:
        status, errors = asyncio.run(asyncio.wait_for(stopped(process), PATIENCE))
    assert status == 0
    assert errors == ["AioRpcError", "AioRpcError"]


def test_work_that_cannot_be_stopped_holds_no_node_up(folder: Path) -> None:
    (a,) = make_labs(folder, "lab-a")
    command = [sys.executable, "-m", "tests.support.stuck_node", str(a.path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            asyncio.run(asyncio.wait_for(answering(a), PATIENCE))
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0
    # Workers of the portable engine are processes, of which Python tells what it cleans up behind them.
    events = [json.loads(line)["event"] for line in said.splitlines() if line.startswith(b"{")]
    assert "stopped in the middle of work" in events
