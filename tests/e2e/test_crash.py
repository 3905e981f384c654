"""A node that is killed in the middle of a round loses nothing, and charges nothing twice."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import grpc
import pytest

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.audit.bundle import write_bundle
from mandorla_node.home.folder import Home
from mandorla_protocol.audit.__main__ import verify_files
from mandorla_protocol.engine.loader import load_engine
from tests.support.labs import (
    SHARED,
    addresses,
    answering,
    ingest,
    make_labs,
    matched,
    node_process,
    pause,
    run_round,
)
from tests.support.patience import PATIENCE

SIZE = 3000
PADDED = 4096


async def spent(operator: operator_pb2_grpc.OperatorAsyncStub) -> int:
    status = await operator.Status(operator_pb2.StatusRequest())
    return sum(budget.spent for peer in status.peers for budget in peer.budgets)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["lab-a", "lab-b"])
@pytest.mark.parametrize("step", ["evaluating", "reading"])
def test_a_killed_node_comes_back_and_the_next_round_is_whole(folder: Path, victim: str, step: str) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(SIZE)))
    ingest(b, addresses(range(1000, 1000 + SIZE)))
    killed, spared = (a, b) if victim == "lab-a" else (b, a)

    async def interrupted(doomed: subprocess.Popen[bytes]) -> None:
        at_a, _ = await answering(a), await answering(b)
        request = operator_pb2.StartRoundRequest(peer="lab-b", kind=SHARED, collection="infrastructure")
        call = at_a.StartRound(request)
        try:
            async for progress in call:
                if progress.step == step:
                    doomed.kill()
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE

    async def whole() -> None:
        at_killed, at_spared = await answering(killed), await answering(spared)
        at_a = at_killed if killed is a else at_spared
        async with asyncio.timeout(PATIENCE):
            while (result := await attempt(at_a)) is None:
                await pause()
        assert (result.outcome, result.matches) == ("committed", SIZE - 1000)
        for operator in (at_killed, at_spared):
            assert await matched(operator) == sorted(addresses(range(1000, SIZE)))
            # At most: the first round's chunk, charged once, and the second's.
            assert await spent(operator) <= 2 * PADDED

    async def attempt(operator: operator_pb2_grpc.OperatorAsyncStub) -> operator_pb2.RoundResult | None:
        try:
            return await run_round(operator, "lab-b")
        except grpc.aio.AioRpcError as error:
            # The spared lab may still be ending the interrupted round.
            assert dict(error.trailing_metadata() or ()).get("mandorla-code") in (
                "NOT_READY",
                "PEER_UNAVAILABLE",
            )
            return None

    with node_process(spared):
        with node_process(killed) as doomed:
            asyncio.run(interrupted(doomed))
        with node_process(killed):
            asyncio.run(whole())
    require_auditable(folder, a, b)


def require_auditable(folder: Path, *homes: Home) -> None:
    """Hold the labs' records of both rounds against each other: nothing is lost, or told in two ways."""
    files = []
    for home in homes:
        path = folder / f"{home.card.name}.audit"
        store = home.open_store()
        write_bundle(home, store, path)
        store.close()
        files.append(str(path))
    verdict = verify_files(files, load_engine("auto", 0))
    assert verdict.findings == []
    assert all(bundle.rounds for bundle in verdict.bundles)
