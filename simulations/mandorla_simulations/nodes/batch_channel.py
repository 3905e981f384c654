"""Sharing by batch rounds between real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, NodeError

from ..resources import Resource
from ..sharing.channel import Delivery
from .feed import Feed
from .indicators import COLLECTIONS

_KIND: Final = operator_pb2.KIND_WATCH


class BatchChannel:
    """Batch rounds of kind watch: in each period, one for each pair of labs and collection."""

    def __init__(self, feed: Feed, period: int) -> None:
        self.due = 0
        self.load = feed.load
        self._feed = feed
        self._period = period

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Ingest the flag at the holder's node."""
        self._feed.runner.run(self._flag(holder, resource, now, expires))
        return ()

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Check the resource at the querier's node, as a gateway does; the node records it as observed."""
        self._feed.runner.run(self._check(querier, resource, now))
        return ()

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Ingest the addresses of a relay's exits at the querier's node."""
        self._feed.runner.run(self._observe(querier, self._feed.exits(relay, lease), now))
        return ()

    def round(self, now: int) -> Sequence[Delivery]:
        """Run the rounds of a period, and deliver the matches that the nodes found."""
        self.due = now + self._period
        return self._feed.runner.run(self._round(now))

    async def _round(self, now: int) -> list[Delivery]:
        feed = self._feed
        for lab, people in enumerate(feed.people(now)):
            await self._observe(lab, people, now)
        await asyncio.gather(*(node.set_clock(feed.unix(now)) for node in feed.nodes))
        for a, b in combinations(range(len(feed.nodes)), 2):
            for collection in COLLECTIONS:
                await self._one_round(a, b, collection)
        found = [match for lab in range(len(feed.nodes)) for match in await feed.new_matches(lab)]
        return [Delivery(now + feed.protocol.round_takes, match) for match in sorted(found)]

    async def _one_round(self, a: int, b: int, collection: str) -> None:
        nodes, load = self._feed.nodes, self.load
        steps = nodes[a].operator.start_round(nodes[b].name, _KIND, collection)
        result = None
        async for progress in steps:
            if progress.HasField("result"):
                result = progress.result
        if result is None or result.outcome != "committed":
            code = result.code if result else "no result"
            raise NodeError(
                Code.ROUND_ABORTED, f"a round between {nodes[a].name} and {nodes[b].name}: {code}"
            )
        evaluations = result.evaluated_by_peer + result.evaluated_for_peer
        load.rounds += 2
        load.evaluations += evaluations
        load.by_collection[collection] += evaluations
        load.bytes += result.bytes_sent + result.bytes_received

    async def _flag(self, lab: int, resource: Resource, now: int, expires: int) -> None:
        await self._set_clock(lab, now)
        await self._feed.flag(lab, [self._feed.flag_of(resource, now, expires)])

    async def _observe(self, lab: int, resources: Sequence[Resource], now: int) -> None:
        if resources:
            await self._set_clock(lab, now)
            await self._feed.observe(lab, resources)

    async def _check(self, lab: int, resource: Resource, now: int) -> None:
        await self._set_clock(lab, now)
        await self._feed.nodes[lab].operator.check(*self._feed.write(resource))

    async def _set_clock(self, lab: int, now: int) -> None:
        await self._feed.nodes[lab].set_clock(self._feed.unix(now))
