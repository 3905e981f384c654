"""A client repeats what may be repeated, and waits longer each time; nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from mandorla.v1 import exchange_pb2
from mandorla_node.core import backoff
from mandorla_node.peers import client
from mandorla_node.peers.client import PeerClient
from mandorla_node.peers.messages import CODE_KEY
from mandorla_node.telemetry.metrics import Metrics
from mandorla_protocol.errors import Code, MandorlaError, TransportError
from tests.support.hostile import HostileLab
from tests.support.labs import free_port, make_labs
from tests.support.network import Between

CALLS: dict[str, Callable[[PeerClient], Awaitable[object]]] = {
    "Hello": lambda client: client.hello(exchange_pb2.HelloRequest(), 60),
    "Propose": lambda client: client.propose(exchange_pb2.ProposeRequest()),
    "Evaluate": lambda client: client.evaluate(exchange_pb2.EvaluateRequest()),
    "ListTags": lambda client: client.list_tags(exchange_pb2.ListTagsRequest()),
    "Subscribe": lambda client: client.subscribe(exchange_pb2.SubscribeRequest(), 1),
    "Close": lambda client: client.close_round(exchange_pb2.CloseRequest(), 60),
    "AddCheckpoint": lambda client: client.add_checkpoint(exchange_pb2.AddCheckpointRequest()),
    "Report": lambda client: client.report(exchange_pb2.ReportRequest()),
    "UpdateCard": lambda client: client.update_card(exchange_pb2.UpdateCardRequest(), 60),
}
ONCE = {"Propose", "UpdateCard"}


class RefusingLab(HostileLab):
    """A peer that refuses every call, with one code."""

    def __init__(self, home: Any, victim: Any, code: Code) -> None:
        super().__init__(home, victim)
        for method in CALLS:
            setattr(self, method, self._refusing(method, code))

    def _refusing(self, method: str, code: Code) -> Callable[..., Awaitable[None]]:
        async def refuse(_request: object, context: Any) -> None:
            self.calls.append(method)
            status = grpc.StatusCode[code.info.status.name]
            await context.abort(status, code.info.message, ((CODE_KEY, code.name),))

        return refuse


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts before which clients waited; they do not wait for long."""
    made: list[int] = []

    class Counted(backoff.Backoff):
        async def wait(self) -> None:
            made.append(self._state.attempt_number - 1)
            self.next()

    monkeypatch.setattr(client, "Backoff", Counted)
    return made


@pytest.mark.spec("9.9-7")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.PEER_UNAVAILABLE, {name: 1 if name in ONCE else 5 for name in CALLS}),
        (Code.RATE_LIMITED, {name: 1 if name in ONCE else 5 for name in CALLS}),
        (Code.DEADLINE, {name: 1 if name in {*ONCE, "Subscribe"} else 5 for name in CALLS}),
        (Code.WRONG_STATE, dict.fromkeys(CALLS, 1)),
        (Code.INTERNAL, dict.fromkeys(CALLS, 1)),
    ],
)
def test_only_what_may_be_repeated_is(
    folder: Path, waits: list[int], code: Code, expected: dict[str, int]
) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def counted() -> dict[str, int]:
        lab = RefusingLab(b, a.card, code)
        client = PeerClient(b.card, a.cards[0], a.settings.limits, Metrics())
        async with lab.serving():
            for call in CALLS.values():
                with pytest.raises(MandorlaError) as caught:
                    await call(client)
                assert caught.value.code is code
            await client.close()
        return {name: lab.calls.count(name) for name in CALLS}

    assert asyncio.run(counted()) == expected
    assert waits == [attempt for count in expected.values() for attempt in range(count - 1)]


def test_a_slow_handshake_is_no_failure(folder: Path) -> None:
    """The first call to a distant or busy peer needs no repetition, which a proposal does not get."""
    a, b = make_labs(folder, "lab-a", "lab-b")
    endpoint = f"127.0.0.1:{free_port()}"

    async def journey() -> None:
        way = Between(b.card.endpoint)
        way.fall_silent()
        limits = a.settings.limits.model_copy(update={"retries": 0})
        client = PeerClient(replace(b.card, endpoint=endpoint), a.cards[0], limits, Metrics())
        async with HostileLab(b, a.card).serving(), way.listening(endpoint):
            call = asyncio.create_task(client.add_checkpoint(exchange_pb2.AddCheckpointRequest()))
            assert await way.joined.wait_beyond(0, limits.handshake_timeout)
            # Longer than gRPC's shortest limit of an attempt to connect: 100 milliseconds.
            await asyncio.wait({call}, timeout=0.5)
            way.speak()
            assert await call == exchange_pb2.AddCheckpointResponse()
            await client.close()

    asyncio.run(journey())


@pytest.mark.spec("9.9-7")
def test_who_prepares_is_asked_again_until_patience_ends(folder: Path, waits: list[int]) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def asked() -> None:
        lab = RefusingLab(b, a.card, Code.NOT_READY)
        client = PeerClient(b.card, a.cards[0], a.settings.limits, Metrics())
        async with lab.serving():
            with pytest.raises(TransportError) as caught:
                await client.hello(exchange_pb2.HelloRequest(), 0.5)
            await client.close()
        assert caught.value.code is Code.DEADLINE
        assert len(lab.calls) > 5

    asyncio.run(asked())
