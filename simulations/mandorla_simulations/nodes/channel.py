"""The channel of fidelity `nodes`: sightings and flags go into real nodes, matches come out of rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

from mandorla.v1 import operator_pb2
from mandorla_node.formats.rows import IngestRow
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.labels import Label, Reason

from ..resources import Resource, ResourceBook
from ..scenario.model import Scenario, Sharing
from ..sharing.channel import Delivery, Load, Match
from ..sightings import Sightings
from .cluster import LabNode
from .writing import COLLECTIONS, Written, written

_KIND: Final = operator_pb2.KIND_WATCH


class NodesChannel:
    """Batch rounds of kind watch between real nodes, one for each pair of labs and collection in a period."""

    def __init__(
        self,
        runner: asyncio.Runner,
        nodes: Sequence[LabNode],
        start: int,
        scenario: Scenario,
        sharing: Sharing,
        sightings: Sightings,
        book: ResourceBook,
    ) -> None:
        self.period = sharing.period
        self.load = Load(by_collection=dict.fromkeys(COLLECTIONS, 0))
        self._runner = runner
        self._nodes = nodes
        self._start = start
        self._takes = scenario.protocol.round_takes
        self._exits = tuple(relay.exits for relay in scenario.relays)
        self._sightings = sightings
        self._book = book
        self._resources: dict[Written, Resource] = {}
        self._known: dict[tuple[int, int, Written], int] = {}
        self._last = -1

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Have the holder's node take the flag in."""
        label = Label(reason=Reason.DISTILLATION, first_seen=self._start + now, expires=self._start + expires)
        rows = [IngestRow(1, *self._write(resource), label)]
        self._runner.run(self._take_in(holder, operator_pb2.SET_FLAGGED, rows, now))
        return ()

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Ask the querier's node about what its gateway sees, which records it as observed."""
        self._runner.run(self._check(querier, self._write(resource), now))
        return ()

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Have the querier's node take in the addresses of a relay's exits."""
        exits = [self._book.exit_address(relay, lease, slot) for slot in range(self._exits[relay])]
        self._runner.run(self._take_in(querier, operator_pb2.SET_OBSERVED, self._rows(exits), now))
        return ()

    def round(self, now: int) -> Sequence[Delivery]:
        """Run the rounds of a period, and deliver what the nodes found."""
        return self._runner.run(self._round(now))

    async def _round(self, now: int) -> list[Delivery]:
        for lab in range(len(self._nodes)):
            people = self._sightings.of_people(lab, self._last, now)
            await self._take_in(lab, operator_pb2.SET_OBSERVED, self._rows(people), now)
        self._last = now
        await asyncio.gather(*(node.set_clock(self._start + now) for node in self._nodes))
        for a, b in combinations(range(len(self._nodes)), 2):
            for collection in COLLECTIONS:
                await self._one_round(a, b, collection)
        found = [match for lab in range(len(self._nodes)) for match in await self._new_matches(lab)]
        return [Delivery(now + self._takes, match) for match in sorted(found)]

    async def _one_round(self, a: int, b: int, collection: str) -> None:
        steps = self._nodes[a].operator.start_round(self._nodes[b].name, _KIND, collection)
        result = None
        async for progress in steps:
            if progress.HasField("result"):
                result = progress.result
        if result is None or result.outcome != "committed":
            code = result.code if result else "no result"
            names = f"{self._nodes[a].name} and {self._nodes[b].name}"
            raise NodeError(Code.ROUND_ABORTED, f"a round between {names}: {code}")
        evaluations = result.evaluated_by_peer + result.evaluated_for_peer
        self.load.rounds += 2
        self.load.evaluations += evaluations
        self.load.by_collection[collection] += evaluations
        self.load.bytes += result.bytes_sent + result.bytes_received

    async def _new_matches(self, lab: int) -> list[Match]:
        numbers = {node.name: number for number, node in enumerate(self._nodes)}
        found = []
        async for match in self._nodes[lab].operator.matches():
            key = (lab, numbers[match.peer], (match.type, match.value))
            expires = match.label.expires - self._start
            if self._known.get(key) != expires:
                self._known[key] = expires
                found.append(Match(lab, key[1], self._resources[key[2]], expires))
        return found

    async def _take_in(
        self, lab: int, target: operator_pb2.Set.ValueType, rows: Sequence[IngestRow], now: int
    ) -> None:
        if not rows:
            return
        await self._nodes[lab].set_clock(self._start + now)
        taken = await self._nodes[lab].operator.ingest(target, rows, strict=True, suppress=False)
        if taken.rejected_total:
            raise NodeError(Code.CHECK_FAILED, f"{self._nodes[lab].name} rejected what a simulation wrote")

    async def _check(self, lab: int, indicator: Written, now: int) -> None:
        await self._nodes[lab].set_clock(self._start + now)
        await self._nodes[lab].operator.check(*indicator)

    def _rows(self, resources: Iterable[Resource]) -> list[IngestRow]:
        return [IngestRow(line, *self._write(resource)) for line, resource in enumerate(resources, 1)]

    def _write(self, resource: Resource) -> Written:
        indicator = written(resource)
        self._resources[indicator] = resource
        return indicator
