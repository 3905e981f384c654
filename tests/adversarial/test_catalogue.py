"""Every attack of the catalogue gets its code, is charged for no more than it got, and harms nobody else."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.home.folder import Home
from mandorla_node.store import IndicatorSet
from mandorla_node.telemetry.logs import configure_logs
from tests.support.attacks.answers import TRAPS
from tests.support.attacks.model import ANSWERED, field, trapped
from tests.support.attacks.requests import ATTACKS
from tests.support.labs import WATCH, addresses, ingest, make_labs, matched, run_round, serving
from tests.support.patience import PATIENCE


@asynccontextmanager
async def besieged(
    folder: Path,
) -> AsyncIterator[tuple[Home, Home, operator_pb2_grpc.OperatorAsyncStub]]:
    """Run a victim, while an honest lab runs rounds with it that must all be right."""
    victim, attacker, honest = make_labs(folder, "lab-a", "lab-b", "lab-c")
    ingest(victim, addresses(range(30)))
    ingest(honest, addresses(range(20, 50)), IndicatorSet.OBSERVED)
    rounds = 0

    async def serve() -> None:
        nonlocal rounds
        while True:
            result = await asyncio.wait_for(run_round(at_honest, "lab-a", WATCH), PATIENCE)
            assert (result.outcome, result.matches) == ("committed", 10)
            rounds += 1
            if over.is_set():
                return

    async with serving(victim, honest) as (at_victim, at_honest):
        over = asyncio.Event()
        serves = asyncio.create_task(serve())
        yield victim, attacker, at_victim
        over.set()
        await serves
        assert await spent(at_victim, "lab-c") == 256 * rounds


async def spent(operator: operator_pb2_grpc.OperatorAsyncStub, peer: str) -> int:
    """Return what a peer was charged."""
    status = await operator.Status(operator_pb2.StatusRequest())
    return sum(budget.spent for known in status.peers if known.name == peer for budget in known.budgets)


@pytest.mark.spec("5.1-1", "5.3-1", "9.3-1", "9.3-2", "9.4-1", "9.5-1", "9.7-1", "18.3-2", "18.4-1")
def test_every_attack_of_a_client_gets_its_code(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    got: dict[str, tuple[str, int]] = {}

    async def journey() -> None:
        async with besieged(folder) as (victim, attacker, at_victim):
            for epoch, attack in enumerate(ATTACKS, 1):
                async with field(attacker, victim.card, epoch) as ground:
                    before = await spent(at_victim, "lab-b")
                    code = await attack.run(ground)
                    got[attack.name] = code, await spent(at_victim, "lab-b") - before

    configure_logs("warning")
    try:
        asyncio.run(journey())
    finally:
        structlog.reset_defaults()
    assert got == {attack.name: (attack.code, attack.charged) for attack in ATTACKS}
    log = capfd.readouterr().err
    lines = [json.loads(line) for line in log.splitlines() if '"call refused"' in line]
    assert {line["peer"] for line in lines} == {"lab-b"}
    expected = Counter(attack.code for attack in ATTACKS if attack.code != ANSWERED)
    assert expected <= Counter(line["code"] for line in lines), "each refusal is in the log, with its code"
    assert "198.18" not in log


@pytest.mark.spec("5.1-1", "5.3-2", "5.3-3", "5.4-1", "5.4-2", "7.3-2", "7.3-3", "9.7-1", "10-1", "10.1-1")
def test_every_trap_of_a_server_is_noticed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    got: dict[str, str] = {}

    async def journey() -> None:
        async with besieged(folder) as (victim, attacker, at_victim):
            for epoch, trap in enumerate(TRAPS, 1):
                async with field(attacker, victim.card, epoch, trap) as ground:
                    got[trap.name] = await trapped(ground, at_victim)
            assert await matched(at_victim, "lab-b") == []
            assert await spent(at_victim, "lab-b") == 0

    configure_logs("warning")
    try:
        asyncio.run(journey())
    finally:
        structlog.reset_defaults()
    assert got == {trap.name: trap.code for trap in TRAPS}
    assert "198.18" not in capfd.readouterr().err
