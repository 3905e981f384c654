"""Comparisons of own tags with a peer's table, after rounds and while rounds stand."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.header import RoundHeader

from ..core.change_feed import ChangeFeed
from ..store import Peer
from ..telemetry.metrics import Metrics
from .context import round_log
from .querier import Findings
from .round import Round
from .standing_round import StandingRound


class Comparisons:
    """Compares in the background, for one round of a peer and a collection after another."""

    def __init__(self, changes: ChangeFeed, metrics: Metrics) -> None:
        self._changes = changes
        self._metrics = metrics
        self._locks: dict[tuple[LabId, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running: set[asyncio.Task[Findings]] = set()

    @property
    def running(self) -> int:
        """How many comparisons after rounds are under way."""
        return len(self._running)

    def lock(self, lab: LabId, collection: str) -> asyncio.Lock:
        """Return the lock under which tags are compared with a peer's table of a collection."""
        return self._locks[lab, collection]

    def compare_in_background(self, active: Round) -> asyncio.Task[Findings]:
        """Compare once for a round, in the background.

        The caller has sent the lab's last message of the round: the peer must not time a comparison (SPEC
        9.7).
        """
        if active.comparison is None:
            active.comparison = asyncio.create_task(self._run(active))
            self._running.add(active.comparison)
            active.comparison.add_done_callback(self._running.discard)
            active.comparison.add_done_callback(lambda task: _log_failure(active, task))
        return active.comparison

    async def compare(self, active: Round) -> Findings:
        """Compare once for a round; the comparison goes on if the caller is cancelled."""
        return await asyncio.shield(self.compare_in_background(active))

    async def settled(self) -> None:
        """Wait for the comparisons that are under way."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, active: Round) -> Findings:
        header = active.header
        async with self.lock(active.peer.lab, header.collection):
            found = await asyncio.to_thread(active.querier.compare)
        if not isinstance(active, StandingRound):
            # A standing round reported its findings as it made them.
            self._changes.invalidate(None)
            active.log.info("round compared", matches=found.matches, new_matches=found.new_matches)
            self._count(header, active.peer, found)
        return found

    def report(self, header: RoundHeader, peer: Peer, found: Findings) -> None:
        """Log and count what a standing round found, from any thread."""
        if found.new_matches:
            log = round_log(header, peer)
            log.info("round compared", matches=found.matches, new_matches=found.new_matches)
        self._count(header, peer, found)

    def _count(self, header: RoundHeader, peer: Peer, found: Findings) -> None:
        new, bad = found.new_matches, found.bad_labels
        self._metrics.compared(peer.name, header.kind, header.collection, new, bad)


def _log_failure(active: Round, task: asyncio.Task[Findings]) -> None:
    """Log a comparison that failed: the responder's has no waiter."""
    if not task.cancelled() and (error := task.exception()) is not None:
        code = error.code if isinstance(error, MandorlaError) else Code.INTERNAL
        active.log.warning("round not compared", code=code.name)
