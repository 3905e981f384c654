"""The plan, carried out over the operators' sockets, and what was acknowledged of it.

What a node did not acknowledge is sent again, until it does. So in the end every deed was acknowledged, and
the plan alone says what has to match.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import NamedTuple

import grpc

from benchmarks.soak.labs import Lab
from benchmarks.soak.plan import Deed, Thing, Verb
from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_protocol.labels import Severity

_TOGETHER = 64
_CALL = 10.0
"""Seconds after which a call is given up, and made again."""

_AGAIN = 0.1
_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "NODE_NOT_RUNNING"})
"""What a caller sees of a node that is killed, frozen or stopped. Anything else is a fault."""

_SETS = {Verb.FLAG: operator_pb2.SET_FLAGGED, Verb.OBSERVE: operator_pb2.SET_OBSERVED}


class Match(NamedTuple):
    """A match as a lab is told of it."""

    peer: str
    thing: Thing
    confidence: int
    event: int


@dataclass(slots=True)
class Account:
    """What a lab's node has acknowledged, and what it told. Times are of this process's clock."""

    flagged: dict[Thing, float] = field(default_factory=dict)
    """When each was flagged first: when the call that was acknowledged began."""
    observed: dict[Thing, float] = field(default_factory=dict)
    """When it was acknowledged first that each was observed."""
    followed: list[tuple[float, Match]] = field(default_factory=list)
    """What was told as it began."""
    claims: set[tuple[str, Thing]] = field(default_factory=set)
    """Who flagged what, by the answers to checks."""
    checks: list[float] = field(default_factory=list)
    """Seconds that each call took."""
    checked: int = 0
    """Indicators asked about."""
    again: int = 0
    """Calls that had to be made again."""


class Driver:
    """One lab's people and gateway."""

    def __init__(self, lab: Lab, deeds: Sequence[Deed], begun: float) -> None:
        self.account = Account()
        self._lab = lab
        self._begun = begun
        # A label says by the clock on the wall when it expires.
        self._wall = time.time() - time.monotonic() + begun
        mine = [deed for deed in deeds if deed.lab == lab.name]
        self._feeds = deque(deed for deed in mine if deed.verb is not Verb.CHECK)
        self._checks = deque(deed for deed in mine if deed.verb is Verb.CHECK)

    async def run(self) -> None:
        """Do everything that the lab does, to the last."""
        async with self._lab.channel() as feeding, self._lab.channel() as asking:
            await asyncio.gather(
                self._feed(operator_pb2_grpc.OperatorStub(feeding)),
                self._ask(operator_pb2_grpc.OperatorStub(asking)),
            )

    async def follow(self) -> None:
        """Take in matches as they begin, until cancelled; after a break, from where it was."""
        async with self._lab.channel() as channel:
            stub: operator_pb2_grpc.OperatorAsyncStub = operator_pb2_grpc.OperatorStub(channel)
            while True:
                last = self.account.followed[-1][1].event if self.account.followed else 0
                try:
                    async for message in stub.Follow(operator_pb2.FollowRequest(after=last)):
                        self.account.followed.append((time.monotonic(), match_from(message)))
                except grpc.aio.AioRpcError as error:
                    self._note(error)
                await asyncio.sleep(_AGAIN)

    async def _feed(self, stub: operator_pb2_grpc.OperatorAsyncStub) -> None:
        async for deeds in _due(self._feeds, self._begun):
            for verb, some in groupby(deeds, key=lambda deed: deed.verb):
                group = list(some)
                requests = self._rows(verb, group)
                began = await self._until_acknowledged(partial(_ingest, stub, requests))
                for deed in group:
                    if verb is Verb.FLAG:
                        self.account.flagged.setdefault(deed.thing, began)
                    else:
                        self.account.observed.setdefault(deed.thing, time.monotonic())

    async def _ask(self, stub: operator_pb2_grpc.OperatorAsyncStub) -> None:
        async for deeds in _due(self._checks, self._begun):
            things = list(dict.fromkeys(deed.thing for deed in deeds))
            began = await self._until_acknowledged(partial(self._check, stub, things))
            self.account.checks.append(time.monotonic() - began)
            self.account.checked += len(things)
            for thing in things:
                self.account.observed.setdefault(thing, time.monotonic())

    async def _check(self, stub: operator_pb2_grpc.OperatorAsyncStub, things: Sequence[Thing]) -> None:
        wanted = [operator_pb2.Indicator(type=thing.type, value=thing.value) for thing in things]
        response = await stub.Check(operator_pb2.CheckRequest(indicators=wanted), timeout=_CALL)
        for result in response.results:
            self.account.claims |= {(one.peer, match_from(one).thing) for one in result.matches}

    async def _until_acknowledged(self, call: Callable[[], Awaitable[None]]) -> float:
        """Make a call, again and again until it is answered; return when the one that was began."""
        while True:
            began = time.monotonic()
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                self._note(error)
                self.account.again += 1
                await asyncio.sleep(_AGAIN)
            else:
                return began

    def _note(self, error: grpc.aio.AioRpcError) -> None:
        metadata = dict(tuple(error.trailing_metadata() or ()))
        code = str(metadata.get("mandorla-code", error.code().name))
        if code not in _PASSING:
            raise RuntimeError(f"{self._lab.name}: a call failed with {code}")

    def _rows(self, verb: Verb, deeds: Sequence[Deed]) -> list[operator_pb2.IngestRequest]:
        rows = [
            operator_pb2.IngestRow(
                line=number,
                type=deed.thing.type,
                value=deed.thing.value,
                label=operator_pb2.Label(
                    severity=int(Severity.MEDIUM),
                    confidence=deed.confidence,
                    expires=math.ceil(self._wall + deed.expires) if deed.expires else 0,
                ),
            )
            for number, deed in enumerate(deeds, start=1)
        ]
        # No lists of shared infrastructure: what the plan is about is made up.
        options = operator_pb2.IngestOptions(set=_SETS[verb], no_suppress=True)
        return [
            operator_pb2.IngestRequest(options=options),
            operator_pb2.IngestRequest(rows=operator_pb2.IngestRows(rows=rows)),
        ]


async def _ingest(
    stub: operator_pb2_grpc.OperatorAsyncStub, requests: Sequence[operator_pb2.IngestRequest]
) -> None:
    response = await stub.Ingest(iter(requests), timeout=_CALL)
    if response.rejected_total:
        raise RuntimeError(f"a row was rejected: {response.rejected[0].code}")


async def _due(deeds: deque[Deed], begun: float) -> AsyncIterator[list[Deed]]:
    """Yield deeds when their time has come, together with those whose time has come too."""
    while deeds:
        await asyncio.sleep(max(0.0, begun + deeds[0].at - time.monotonic()))
        now = time.monotonic() - begun
        group: list[Deed] = []
        # An indicator comes once in a group, so that one call says one thing of it.
        things: set[Thing] = set()
        while deeds and deeds[0].at <= now and len(group) < _TOGETHER and deeds[0].thing not in things:
            things.add(deeds[0].thing)
            group.append(deeds.popleft())
        if group:
            yield group


def match_from(message: operator_pb2.Match) -> Match:
    """Read a match."""
    thing = Thing(message.indicator.type, message.indicator.value)
    return Match(message.peer, thing, message.label.confidence, message.event)
