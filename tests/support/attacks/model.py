"""An attack, and the field on which it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from mandorla.v1 import exchange_pb2_grpc, operator_pb2_grpc
from mandorla_node.home.folder import Home
from mandorla_protocol.card import Card
from tests.support.hostile import HostileLab, channel_to
from tests.support.labs import code_of, run_round

ANSWERED = "answered"
"""What an attack gets that the victim does not refuse."""

UNNAMED = "no code"
"""What is refused below the protocol, by TLS, HTTP/2 or gRPC, gets no code of the catalogue."""


@dataclass(frozen=True)
class Field:
    """A hostile lab with real keys that answers on its endpoint, and its channel to the victim."""

    lab: HostileLab
    stub: exchange_pb2_grpc.ExchangeAsyncStub

    @property
    def victim(self) -> Card:
        """The card of the node under attack."""
        return self.lab.victim

    @property
    def own(self) -> Home:
        """The attacker's home."""
        return self.lab.home


@dataclass(frozen=True)
class Attack:
    """One way to break the protocol.

    `rule` is the section of SPEC.md, or the line of what others shipped, that it goes against; `code` is what
    the attacker must get; `charged` is how many evaluations it must be charged for.
    """

    name: str
    does: str
    rule: str
    code: str
    run: Callable[[Field], Awaitable[str]]
    charged: int = 0


Setup: TypeAlias = Callable[[HostileLab], None]


@dataclass(frozen=True)
class Trap:
    """One way to answer wrongly a round that the victim began; `code` is what its operator is told."""

    name: str
    does: str
    rule: str
    code: str
    setup: Setup
    lab: type[HostileLab] = HostileLab


@asynccontextmanager
async def field(own: Home, victim: Card, epoch: int = 1, trap: Trap | None = None) -> AsyncIterator[Field]:
    """Let a lab answer on its endpoint, in a key epoch of its own, and dial its victim."""
    hostile = (trap.lab if trap else HostileLab)(own, victim, epoch)
    if trap:
        trap.setup(hostile)
    async with hostile.serving(), channel_to(victim, own) as stub:
        yield Field(hostile, stub)


async def trapped(ground: Field, at_victim: operator_pb2_grpc.OperatorAsyncStub) -> str:
    """Let the victim begin a round with a lab that answers wrongly; return what its operator is told."""
    try:
        return (await run_round(at_victim, ground.own.card.name)).code or ANSWERED
    except grpc.aio.AioRpcError as error:
        return code_of(error)


async def code_from(call: Awaitable[Any]) -> str:
    """Return the code that a call is refused with, or `ANSWERED`."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        code = code_of(error)
        return UNNAMED if code == error.code().name else code
    return ANSWERED
