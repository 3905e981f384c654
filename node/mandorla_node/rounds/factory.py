"""Rounds made of headers: their halves planned and their parts put together, before anything is signed."""

from __future__ import annotations

from functools import partial

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, RoundError
from mandorla_protocol.header import RoundHeader, RoundMode

from ..core.token_bucket import TokenBucket
from ..peers.client import PeerClient
from ..store import Peer
from ..tables.builder import PreparedEpoch
from .comparisons import Comparisons
from .context import RoundContext
from .pace import question_pace
from .querier import Progress, Querier, plan
from .round import Round
from .round_locks import RoundLocks
from .standing_querier import StandingQuerier
from .standing_round import StandingRound


class RoundFactory:
    """Makes rounds, and plans this lab's half of each."""

    def __init__(self, context: RoundContext, locks: RoundLocks, comparisons: Comparisons) -> None:
        self._context = context
        self._locks = locks
        self._comparisons = comparisons
        # A new standing round keeps the token bucket of the previous one. This is the pace of asking, not the
        # budget of evaluations.
        self._paces: dict[tuple[LabId, str], TokenBucket] = {}

    async def make(
        self, header: RoundHeader, peer: Peer, epoch: PreparedEpoch, client: PeerClient, progress: Progress
    ) -> Round:
        """Make a round of an acceptable header, and plan this lab's half; nothing is stored yet.

        Raises RoundError: NOT_READY if a batch round is to begin where this one would stand, or what
        `querier.plan` raises.
        """
        context = self._context
        if header.mode is RoundMode.BATCH:
            querier = Querier(header, await plan(header, context), client, progress, context)
            return Round(header, peer, epoch, querier, client, context)
        key = (peer.lab, header.collection)
        if self._locks.is_reserved(key):
            raise RoundError(Code.NOT_READY, "a batch round is to begin")
        budget = header.other(context.lab).offer.budget
        pace = self._paces.setdefault(key, question_pace(budget, context.timer.now))
        report = partial(self._comparisons.report, header, peer)
        lock = self._comparisons.lock(*key)
        planned = await plan(header, context)
        standing = StandingQuerier(header, planned, client, progress, context, lock, pace, report)
        return StandingRound(header, peer, epoch, standing, client, context)
