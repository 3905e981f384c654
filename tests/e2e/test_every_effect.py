"""A node is killed after each transaction that it writes, and its log, budget and rounds always agree."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from sqlalchemy import func, select

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.audit.bundle import write_bundle
from mandorla_node.home.folder import Home
from mandorla_node.store.database import Database
from mandorla_node.store.schema import CHUNKS, HELD_EPOCHS
from mandorla_protocol.audit.__main__ import verify_files
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.log.entries import ChunkCharged, ChunkEvaluated
from tests.support.killer import Killer, killer
from tests.support.labs import (
    SHARED,
    addresses,
    answering,
    ingest,
    log_of,
    make_labs,
    matched,
    run_round,
    serving,
)
from tests.support.patience import PATIENCE

MOST = 80
LAST_WRITES = 3
"""Seconds that a node gets to write what follows a committed round."""


@asynccontextmanager
async def doomed(killer: Killer, home: Home, after: int) -> AsyncIterator[asyncio.Task[int]]:
    """Run a node that is killed after a transaction; yield the task that waits for its exit code."""
    node = killer.start(home, after)
    ended = asyncio.create_task(asyncio.to_thread(node.wait))
    try:
        yield ended
    finally:
        if not ended.done():
            node.stop()
        await ended


async def started(home: Home, ended: asyncio.Task[int]) -> operator_pb2_grpc.OperatorAsyncStub | None:
    """Return a stub of a node once it answers, or None if it ends before."""
    ready = asyncio.ensure_future(answering(home))
    await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    (stub,) = await asyncio.gather(ready, return_exceptions=True)
    if isinstance(stub, grpc.aio.AioRpcError | asyncio.CancelledError):
        await ended
        return None
    return stub


def require_agreement(*homes: Home) -> None:
    """Hold log, budget and chunks of each lab against each other."""
    for home in homes:
        log = log_of(home)
        charged = [entry for entry in log if isinstance(entry, ChunkCharged)]
        answered = {(entry.round_id, entry.index) for entry in log if isinstance(entry, ChunkEvaluated)}
        assert len({(entry.round_id, entry.index) for entry in charged}) == len(charged)
        assert answered <= {(entry.round_id, entry.index) for entry in charged}
        database = Database(home.path / "mandorla.db")
        with database.read() as connection:
            spent = connection.scalar(select(func.sum(HELD_EPOCHS.c.spent))) or 0
            kept = connection.execute(select(CHUNKS)).all()
        database.close()
        assert spent == sum(entry.count for entry in charged)
        assert {(row.round_id, row.chunk_index) for row in kept if row.evaluated is not None} == answered


def require_auditable(folder: Path, *homes: Home) -> None:
    """Hold the labs' logs against each other: what was wrong in one once stays in it."""
    files = []
    for home in homes:
        path = folder / f"{home.card.name}.audit"
        store = home.open_store()
        write_bundle(home, store, path)
        store.close()
        files.append(str(path))
    assert verify_files(files, load_engine("auto", 0)).findings == []


@pytest.mark.parametrize("victim", ["initiator", "responder"])
def test_log_budget_and_round_agree_whenever_a_node_is_killed(folder: Path, victim: str) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    for home in (a, b):
        config = home.path / "mandorla.toml"
        config.write_text(config.read_text().replace("[limits]", "[limits]\nretries = 0"))
    a, b = Home.open(a.path), Home.open(b.path)
    killed, spared = (a, b) if victim == "initiator" else (b, a)
    ingest(a, addresses(range(3)))
    ingest(b, addresses(range(2, 5)))

    async def attempt(operator: operator_pb2_grpc.OperatorAsyncStub, ended: asyncio.Task[int]) -> bool:
        """Run rounds until one is committed, or the victim is dead; return whether it was killed."""
        while not ended.done():
            round_ = asyncio.ensure_future(run_round(operator, "lab-b", SHARED))
            await asyncio.wait({round_, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not round_.done():
                round_.cancel()
            (result,) = await asyncio.gather(round_, return_exceptions=True)
            if isinstance(result, operator_pb2.RoundResult) and result.outcome == "committed":
                # The victim may still show its log and compare.
                await asyncio.wait({ended}, timeout=LAST_WRITES)
                return ended.done()
            assert isinstance(
                result, grpc.aio.AioRpcError | asyncio.CancelledError | operator_pb2.RoundResult
            )
        return True

    async def survives(starter: Killer, after: int) -> bool:
        async with serving(spared) as (at_spared,), doomed(starter, killed, after) as ended:
            at_killed = await started(killed, ended)
            was_killed = at_killed is None or await attempt(at_killed if killed is a else at_spared, ended)
            if was_killed:
                log = killed.path.with_suffix(".log").read_text()
                assert await ended == -signal.SIGKILL, log[-2000:]
        return not was_killed

    async def whole() -> None:
        async with serving(a, b) as (at_a, at_b):
            assert (await run_round(at_a, "lab-b")).outcome == "committed"
            for operator in (at_a, at_b):
                assert set(addresses([2])) <= set(await matched(operator))

    with killer() as starter:
        for after in range(MOST):
            # Something new in both sets, so that every round publishes, asks and compares.
            ingest(a, addresses([100 + 2 * after]))
            ingest(b, addresses([101 + 2 * after]))
            survived = asyncio.run(asyncio.wait_for(survives(starter, after), PATIENCE))
            require_agreement(a, b)
            if survived:
                break
        else:
            pytest.fail("a round has more transactions than this test kills")
    assert after > 10
    asyncio.run(whole())
    require_agreement(a, b)
    require_auditable(folder, a, b)
