"""Sharing by the watch of real nodes: standing rounds in simulated time (SPEC 19)."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Sequence

from mandorla_node.formats.rows import IngestRow

from ..resources import Resource
from ..sharing.channel import Delivery, JustFlagged
from .cluster import LabNode
from .feed import Feed
from .indicators import COLLECTIONS


class WatchChannel:
    """Standing rounds between real nodes.

    A node ingests flags in the second of the flag, and sightings once in each micro-batch. Timers of the
    nodes, such as the pace of questions and the end of a round, advance at each micro-batch.
    """

    def __init__(self, feed: Feed) -> None:
        self.due = self._next = 0
        self.load = feed.load
        self._feed = feed
        self._flags: defaultdict[int, list[IngestRow]] = defaultdict(list)
        self._just = JustFlagged()
        self._expiring: list[tuple[int, int]] = []
        self._seen: defaultdict[int, list[Resource]] = defaultdict(list)
        self._matched: list[int] = [0] * len(feed.nodes)

    def flagged(self, holder: int, resource: Resource, now: int, expires: int) -> Sequence[Delivery]:
        """Ingest the flag at the holder's node, with all other flags of this second."""
        self._flags[holder].append(self._feed.flag_of(resource, now, expires))
        self._just.add(holder, resource)
        heapq.heappush(self._expiring, (expires, holder))
        self.due = now
        return ()

    def observed(self, querier: int, resource: Resource, now: int) -> Sequence[Delivery]:
        """Ingest the sighting at the querier's node with the next micro-batch."""
        self._seen[querier].append(resource)
        return ()

    def observed_exits(self, querier: int, relay: int, lease: int, now: int) -> Sequence[Delivery]:
        """Ingest the addresses of a relay's exits with the next micro-batch."""
        self._seen[querier] += self._feed.exits(relay, lease)
        return ()

    def round(self, now: int) -> Sequence[Delivery]:
        """Ingest new flags and sightings, and deliver the matches that the nodes find."""
        return self._feed.runner.run(self._round(now))

    async def count(self) -> None:
        """Read the load of the whole run from the nodes."""
        self.load.evaluations = self.load.bytes = self.load.rounds = 0
        for node in self._feed.nodes:
            size, questions = await node.counted()
            status = await node.operator.status()
            self.load.bytes += size
            self.load.rounds += questions
            for budget in (budget for peer in status.peers for budget in peer.budgets):
                self.load.evaluations += budget.spent
                self.load.by_collection[budget.collection] += budget.spent
                self.load.budget_spent = max(self.load.budget_spent, budget.spent / budget.budget)

    async def _round(self, now: int) -> list[Delivery]:
        feed, nodes, unix = self._feed, self._feed.nodes, self._feed.unix(now)
        if now == self._next:
            self._next = now + feed.protocol.micro_batch
            await asyncio.gather(*(node.let_pass(unix) for node in nodes))
            for lab in self._expired(now):
                await nodes[lab].expire_flags()
            # Work that waited for this time comes before new work.
            await self._settle()
            for lab, people in enumerate(feed.people(now)):
                await feed.observe(lab, self._seen.pop(lab, []) + people)
        else:
            await asyncio.gather(*(node.set_clock(unix) for node in nodes))
        for lab in sorted(self._flags):
            await feed.flag(lab, self._flags.pop(lab))
        self.due = self._next
        matched = await self._settle()
        found = []
        for lab, (before, count) in enumerate(zip(self._matched, matched, strict=True)):
            if count != before:
                found += await feed.new_matches(lab)
        self._matched = matched
        return [Delivery(now + feed.protocol.announce, match) for match in self._just.sort(found)]

    def _expired(self, now: int) -> set[int]:
        """Return the labs with flags that have expired since the last call."""
        labs = set()
        while self._expiring and self._expiring[0][0] <= now:
            labs.add(heapq.heappop(self._expiring)[1])
        return labs

    async def _settle(self) -> list[int]:
        """Wait until the nodes have announced and compared everything; return the match count of each."""
        nodes = self._feed.nodes
        each = await asyncio.gather(*map(self._published, nodes))
        waits = []
        for node in nodes:
            versions = [
                (peer.name, collection, announced[node.name, collection])
                for peer, announced in zip(nodes, each, strict=True)
                if peer is not node
                for collection in COLLECTIONS
            ]
            waits.append(node.compared(versions))
        return await asyncio.gather(*waits)

    async def _published(self, node: LabNode) -> dict[tuple[str, str], int]:
        """Wait until a node has announced its flags; return its table versions, by peer and collection."""
        others = [peer.name for peer in self._feed.nodes if peer is not node]
        watches = [(name, collection) for name in others for collection in COLLECTIONS]
        return dict(zip(watches, await node.published(watches), strict=True))
