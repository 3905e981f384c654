"""Floods: the node stays up and small, serves its honest peers, and says who does what."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Awaitable, Sequence
from pathlib import Path

import pytest

from mandorla.v1 import exchange_pb2, operator_pb2, operator_pb2_grpc
from mandorla_node.config.peer_settings import LimitSettings
from mandorla_node.home.folder import Home
from mandorla_node.store import IndicatorSet
from mandorla_protocol.header import RoundHeader, RoundKind
from mandorla_protocol.log.entries import ChunkCharged, RoundAgreed
from tests.support.attacks.floods import FLOODS, Flood, Outcomes
from tests.support.attacks.model import code_from, field
from tests.support.hostile import TIMEOUT, blinded_chunk
from tests.support.labs import (
    WATCH,
    addresses,
    answering,
    ingest,
    log_of,
    make_labs,
    node_process,
    run_round,
    serving,
)
from tests.support.patience import PATIENCE

MEMORY = 320
"""MiB that the node may ever take: what it takes at rest, and generously what one peer can make it hold."""

FILES = 300
"""Files and connections that the node may have open after an attack."""

LIMITS = """[limits]
call_burst = 200
handshake_timeout = 3
"""


def peak_memory(pid: int) -> int:
    """Return the most that a process ever took, in MiB."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) // 1024


def open_files(pid: int) -> int:
    """Count the files and connections that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def serve_while(attack: Awaitable[Outcomes], at_own: operator_pb2_grpc.OperatorAsyncStub) -> Outcomes:
    """Run an honest lab's rounds until the attack is over, and one more then; return what the attack got."""
    attacking = asyncio.ensure_future(attack)
    over = False
    while not over:
        over = attacking.done()
        result = await asyncio.wait_for(run_round(at_own, "lab-a", WATCH), PATIENCE)
        assert (result.outcome, result.matches) == ("committed", 10)
    return await attacking


@pytest.mark.slow
@pytest.mark.spec("9.9-6")
@pytest.mark.parametrize("floods", [FLOODS[::2], FLOODS[1::2]], ids=["one half", "other half"])
def test_a_node_under_floods_serves_its_honest_peers(folder: Path, floods: Sequence[Flood]) -> None:
    victim, attacker, honest = make_labs(folder, "lab-a", "lab-b", "lab-c")
    config = victim.path / "mandorla.toml"
    # Without a watch, which would have the honest lab's rounds wait for its own.
    quiet = config.read_text().replace("[watch]\n", "[watch]\nenabled = false\n")
    config.write_text(quiet.replace("[limits]\n", LIMITS))
    ingest(victim, addresses(range(30)))
    ingest(honest, addresses(range(20, 50)), IndicatorSet.OBSERVED)
    log = folder / "victim.log"
    got: dict[str, Outcomes] = {}

    async def journey(pid: int) -> dict[str, int]:
        at_victim = await answering(victim)
        async with serving(honest) as (at_honest,):
            for epoch, flood in enumerate(floods, 1):
                async with field(attacker, victim.card, epoch) as ground:
                    got[flood.name] = await serve_while(flood.run(ground), at_honest)
                assert peak_memory(pid) < MEMORY, f"memory after {flood.name}"
                assert open_files(pid) < FILES, f"files after {flood.name}"
        status = await at_victim.Status(operator_pb2.StatusRequest())
        return {peer.name: sum(budget.spent for budget in peer.budgets) for peer in status.peers}

    with node_process(victim, log) as process:
        spent = asyncio.run(journey(process.pid))
        assert process.poll() is None

    assert {flood.name: set(got[flood.name]) - flood.codes for flood in floods} == {
        flood.name: set() for flood in floods
    }
    assert all(got[flood.name].total() for flood in floods), got
    assert max(outcomes["held"] for outcomes in got.values()) <= LimitSettings().calls_at_once
    assert spent == charged(victim, (attacker, honest))
    # One round after the other of the smallest class: nobody else's elements are among them.
    rounds = [entry for entry in rounds_of(victim, honest) if entry.kind is RoundKind.WATCH]
    assert spent["lab-c"] == 256 * len(rounds)
    refusals = [json.loads(line) for line in log.read_text().splitlines() if "call refused" in line]
    assert {line["peer"] for line in refusals} <= {"lab-b", "unknown"}
    assert len(refusals) < 200 * len(floods), "a flood of calls must not become a flood of lines"
    assert "198.18" not in log.read_text()


def rounds_of(victim: Home, other: Home) -> list[RoundHeader]:
    """Return the headers of the rounds that a lab agreed to with another."""
    headers = [RoundHeader.decode(entry.header) for entry in log_of(victim) if isinstance(entry, RoundAgreed)]
    return [header for header in headers if header.other(victim.card.identity).lab == other.card.identity]


def charged(victim: Home, others: Sequence[Home]) -> dict[str, int]:
    """Return what the victim's log says that each lab was charged."""
    log = log_of(victim)
    sums = {}
    for other in others:
        rounds = {header.round_id for header in rounds_of(victim, other)}
        chunks = [entry for entry in log if isinstance(entry, ChunkCharged) and entry.round_id in rounds]
        sums[other.card.name] = sum(entry.count for entry in chunks)
    return sums


def test_what_a_refused_call_sent_is_let_go_at_once(folder: Path) -> None:
    """A node looks for cycles seldom, and errors, their frames and their tasks hold each other."""
    victim, attacker = make_labs(folder, "lab-a", "lab-b")
    chunk = (blinded_chunk() * 16)[:-32] + b"\xff" * 32

    async def journey() -> int:
        async with serving(victim), field(attacker, victim.card) as ground:
            header = await ground.lab.agree(ground.stub)
            request = exchange_pb2.EvaluateRequest(round_id=header.round_id, blinded=chunk)

            async def refused(times: int) -> int:
                for _ in range(times):
                    assert await code_from(ground.stub.Evaluate(request, timeout=TIMEOUT)) == "BAD_ELEMENT"
                return tracemalloc.get_traced_memory()[0]

            return -await refused(2) + await refused(16)

    gc.disable()
    tracemalloc.start()
    try:
        grown = asyncio.run(journey())
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 6 * len(chunk), "16 requests came meanwhile"
