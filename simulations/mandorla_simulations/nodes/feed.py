"""The feed of real nodes: flags and sightings in, matches out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from mandorla.v1 import operator_pb2
from mandorla_node.formats.rows import IngestRow
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.labels import Label, Reason

from ..resources import Resource, ResourceBook
from ..scenario.model import Scenario
from ..sharing.channel import Load, Match
from ..sightings import Sightings
from .cluster import LabNode
from .indicators import COLLECTIONS, TypedValue, indicator_of


class Feed:
    """Ingests the flags and sightings of a simulation into nodes, as indicators, and reads their matches."""

    def __init__(
        self,
        runner: asyncio.Runner,
        nodes: Sequence[LabNode],
        start: int,
        scenario: Scenario,
        sightings: Sightings,
        book: ResourceBook,
    ) -> None:
        self.runner = runner
        self.nodes = nodes
        self.protocol = scenario.protocol
        self.load = Load(by_collection=dict.fromkeys(COLLECTIONS, 0))
        self._start = start
        self._exits = tuple(relay.exits for relay in scenario.relays)
        self._sightings = sightings
        self._book = book
        self._resources: dict[TypedValue, Resource] = {}
        self._expiries: dict[tuple[int, int, TypedValue], int] = {}
        self._last = -1

    def unix(self, now: int) -> int:
        """Return a time of the simulation in Unix seconds."""
        return self._start + now

    def flag_of(self, resource: Resource, now: int, expires: int) -> IngestRow:
        """Return a flag as a row to ingest."""
        label = Label(reason=Reason.DISTILLATION, first_seen=self.unix(now), expires=self.unix(expires))
        return IngestRow(1, *self.write(resource), label)

    def exits(self, relay: int, lease: int) -> list[Resource]:
        """Return the addresses of a relay's exits."""
        return [self._book.exit_address(relay, lease, slot) for slot in range(self._exits[relay])]

    def people(self, now: int) -> list[list[Resource]]:
        """Return, for each lab, the resources that honest users first showed it since the last call."""
        after, self._last = self._last, now
        return [self._sightings.of_people(lab, after, now) for lab in range(len(self.nodes))]

    def write(self, resource: Resource) -> TypedValue:
        """Return the indicator of a resource, and remember the resource."""
        indicator = indicator_of(resource)
        self._resources[indicator] = resource
        return indicator

    async def observe(self, lab: int, resources: Iterable[Resource]) -> None:
        """Ingest the sightings of a lab."""
        rows = [IngestRow(line, *self.write(resource)) for line, resource in enumerate(resources, 1)]
        await self._ingest(lab, operator_pb2.SET_OBSERVED, rows)

    async def flag(self, lab: int, rows: Sequence[IngestRow]) -> None:
        """Ingest the flags of a lab."""
        await self._ingest(lab, operator_pb2.SET_FLAGGED, rows)

    async def _ingest(self, lab: int, target: operator_pb2.Set.ValueType, rows: Sequence[IngestRow]) -> None:
        if not rows:
            return
        report = await self.nodes[lab].operator.ingest(target, rows, strict=True, suppress=False)
        if report.rejected_total:
            raise NodeError(
                Code.CHECK_FAILED, f"{self.nodes[lab].name} rejected an indicator of the simulation"
            )

    async def new_matches(self, lab: int) -> list[Match]:
        """Return the matches of a node that are new, or that have a new expiry."""
        numbers = {node.name: number for number, node in enumerate(self.nodes)}
        found = []
        async for match in self.nodes[lab].operator.matches():
            key = (lab, numbers[match.peer], (match.type, match.value))
            expires = match.label.expires - self._start
            if self._expiries.get(key) != expires:
                self._expiries[key] = expires
                found.append(Match(lab, key[1], self._resources[key[2]], expires))
        return found
