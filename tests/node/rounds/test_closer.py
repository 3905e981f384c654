"""Closer and registry: whatever fails or is cut off, the end is recorded, and the round is let go."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla.v1 import operator_pb2
from mandorla_node.rounds.closer import Closer
from mandorla_node.rounds.initiator import Initiator
from mandorla_node.rounds.registry import RoundRegistry
from mandorla_node.rounds.responder import Responder
from mandorla_node.rounds.round_locks import RoundLocks
from mandorla_protocol.errors import Code, NodeError, RoundError, TransportError
from mandorla_protocol.header import RoundHeader, RoundId
from mandorla_protocol.session.closing import RoundState
from tests.protocol.test_spec import header
from tests.support.hostile import TIMEOUT
from tests.support.labs import addresses, make_labs, pause, serving
from tests.support.watch import take, until_matched, until_standing, watching_infrastructure

HEADER = header()


class Rounds:
    """The store of rounds, in memory: it refuses as many ends as it is told, and waits where it is told."""

    def __init__(self) -> None:
        self.refusals = 0
        self.states: dict[RoundId, RoundState] = {}
        self.agreeing = threading.Event()
        self.agreeing.set()

    def record_agreement(self, header: RoundHeader, *_: object) -> None:
        self.agreeing.wait(TIMEOUT)
        self.states[header.round_id] = RoundState.OPEN

    def finish(self, round_id: RoundId, state: RoundState, *_: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NodeError(Code.STORE_FAILED)
        self.states[round_id] = state


class Lab:
    """What the closer and the registry of one lab need, and rounds that have no halves."""

    def __init__(self) -> None:
        self.rounds = Rounds()
        self.counted: list[str] = []
        self.calls = self.paused_at = 0
        metrics = SimpleNamespace(round_ended=lambda *ended: self.counted.append(ended[3]))
        self.context: Any = SimpleNamespace(
            store=SimpleNamespace(rounds=self.rounds, peers=self),
            lab=HEADER.initiator.lab,
            clock=lambda: 0,
            metrics=metrics,
            identity=Ed25519PrivateKey.generate(),
        )
        self.registry = RoundRegistry(self.context, RoundLocks())

    def get(self, _lab: object) -> Any:
        return SimpleNamespace(paused_at=self.paused_at)

    async def round(self, number: int) -> Any:
        header = replace(HEADER, round_id=RoundId(bytes([number]) * 16))
        peer: Any = SimpleNamespace(lab=HEADER.responder.lab, name="lab-b")
        holder: Any = SimpleNamespace(bar=int, close=int, digest=lambda: bytes(32))
        active = SimpleNamespace(
            header=header, peer=peer, log=SimpleNamespace(warning=lambda *_, **__: None), begin=int
        )
        active.forgotten = asyncio.Event()
        active.closer = Closer(header, peer, SimpleNamespace(close_round=self._call), holder, self.context)  # type: ignore[arg-type]
        await self.registry.enter(active)  # type: ignore[arg-type]
        return active

    async def _call(self, *_: object) -> None:
        self.calls += 1
        raise TransportError(Code.PEER_UNAVAILABLE)

    async def agree(self, active: Any) -> None:
        await self.registry.record_and_begin(active, b"", b"", b"")

    def state(self, active: Any) -> RoundState:
        return self.rounds.states[active.header.round_id]


def test_a_round_given_up_while_its_agreement_is_recorded_ends_though_the_store_refuses_once() -> None:
    async def journey() -> None:
        lab = Lab()
        given_up, following = await lab.round(1), await lab.round(2)
        lab.rounds.agreeing.clear()
        lab.rounds.refusals = 1
        agreeing = asyncio.create_task(lab.agree(given_up))
        await asyncio.sleep(0)
        await given_up.closer.fail(RoundError(Code.ROUND_ABORTED))
        lab.rounds.agreeing.set()
        with pytest.raises(NodeError):
            await agreeing
        lab.registry.forget(given_up)
        assert lab.state(given_up) is RoundState.OPEN
        await lab.agree(following)
        assert lab.state(given_up) is RoundState.ABORTED
        assert lab.counted == [], "a round that never began is not counted among those that ended"

    asyncio.run(journey())


def test_rounds_that_are_agreed_at_once_record_what_was_left_and_disturb_nobody() -> None:
    async def journey() -> None:
        lab = Lab()
        left, *others = [await lab.round(number) for number in range(3)]
        await lab.agree(left)
        lab.rounds.refusals = 1
        with pytest.raises(NodeError):
            await left.closer.fail(RoundError(Code.BAD_PROOF))
        lab.registry.forget(left)
        await asyncio.gather(*map(lab.agree, others))
        assert lab.state(left) is RoundState.ABORTED
        assert lab.calls == 0, "nobody calls over a channel that is closed"

    asyncio.run(journey())


def test_a_second_cancellation_leaves_no_round_open() -> None:
    async def journey() -> None:
        lab = Lab()
        active = await lab.round(1)
        lab.rounds.agreeing.clear()
        agreeing = asyncio.create_task(lab.agree(active))
        for _ in range(2):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            agreeing.cancel()
        await asyncio.sleep(0)
        lab.rounds.agreeing.set()
        await asyncio.gather(agreeing, return_exceptions=True)
        lab.registry.forget(active)
        async with asyncio.timeout(TIMEOUT):
            while lab.rounds.states.get(active.header.round_id) is not RoundState.ABORTED:
                await pause()

    asyncio.run(journey())


def test_a_store_that_fails_does_not_hide_a_cancellation() -> None:
    async def journey() -> None:
        lab = Lab()
        active = await lab.round(1)
        await lab.agree(active)
        lab.rounds.refusals = 1
        active.half = asyncio.Event().wait
        nothing: Any = None
        initiator = Initiator(lab.context, lab.registry, *[nothing] * 4)
        seeing = asyncio.create_task(initiator._see_through(active, nothing))
        await asyncio.sleep(0)
        seeing.cancel()
        await asyncio.gather(seeing, return_exceptions=True)
        assert seeing.cancelled()

    asyncio.run(journey())


@pytest.mark.spec("9.7-3")
def test_both_labs_learn_one_reason_of_an_abort() -> None:
    async def journey() -> None:
        lab = Lab()
        lab.context.lab = HEADER.responder.lab
        active = await lab.round(1)
        await lab.agree(active)
        await active.closer.fail(RoundError(Code.PAUSED))
        with pytest.raises(RoundError) as caught:
            active.closer.statement()
        assert caught.value.code is active.closer.refusal().code is Code.PAUSED

    asyncio.run(journey())


def test_a_pause_while_a_round_is_prepared_is_honoured() -> None:
    async def journey() -> None:
        lab = Lab()
        lab.paused_at = 1
        with pytest.raises(RoundError) as caught:
            await lab.round(1)
        assert caught.value.code is Code.PAUSED
        assert not lab.registry.open

    asyncio.run(journey())


def test_a_pause_while_a_round_is_agreed_is_its_reason() -> None:
    async def journey() -> None:
        lab = Lab()
        active = await lab.round(1)
        await lab.registry.end_with(active.peer.lab, RoundError(Code.PAUSED))
        assert active.closer.withdrawal().code is Code.PAUSED

    asyncio.run(journey())


def test_a_standing_round_that_is_paused_with_a_silent_peer_is_let_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch gives the round up while this lab still waits for the peer to hear of the abort."""
    homes = [watching_infrastructure(home) for home in make_labs(folder, "lab-a", "lab-b")]
    first, second = sorted(homes, key=lambda home: home.card.identity)
    silent, close = asyncio.Event(), Responder.close

    async def hang(self: Responder, *arguments: Any) -> Any:
        if silent.is_set() and self._context.lab == second.card.identity:
            await asyncio.Event().wait()
        return await close(self, *arguments)

    monkeypatch.setattr(Responder, "close", hang)

    async def journey() -> None:
        async with serving(first, second, watch=True) as (at_first, at_second), asyncio.timeout(TIMEOUT):
            await take(at_first, addresses([0]), "flagged")
            await take(at_second, addresses(range(4)), "observed")
            await until_matched(at_second, addresses([0]))
            await until_standing(at_first)
            silent.set()
            request = operator_pb2.PauseRequest(peer=second.card.name, paused=True)
            pausing = asyncio.ensure_future(at_first.Pause(request))
            while (await at_first.Status(operator_pb2.StatusRequest(now=True))).open_rounds:
                await pause()
            await pausing

    asyncio.run(journey())
