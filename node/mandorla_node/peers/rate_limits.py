"""What one peer may do at once and in a time, checked before any work is done for it.

A peer that goes over a limit is refused; what it may do within the limits waits for its own turn, so that a
busy peer is slow to itself before it is to others.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, TransportError

from ..config.peer_settings import LimitSettings
from ..core.token_bucket import TokenBucket

T = TypeVar("T")

_FEWEST_TURNS = 2


class Buckets:
    """A bucket for each peer, full when it is first taken from."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._terms = (rate, burst, monotonic)
        self._buckets: dict[bytes, TokenBucket] = {}

    def take(self, peer: bytes, tokens: float = 1) -> None:
        """Take tokens of a peer; raises TransportError(RATE_LIMITED) if there are too few."""
        bucket = self._buckets.get(peer)
        if bucket is None:
            bucket = self._buckets[peer] = TokenBucket(*self._terms)
        if not bucket.take(tokens):
            raise TransportError(Code.RATE_LIMITED)


class PeerLimits:
    """Limits on each peer: its calls by the hash of its certificate, all else by its identity.

    `turns` is how many pieces of a peer's work are done at once.
    """

    def __init__(
        self,
        limits: LimitSettings,
        turns: int = _FEWEST_TURNS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        def buckets(rate: float, burst: float) -> Buckets:
            return Buckets(rate, burst, monotonic)

        self._at_once = limits.calls_at_once
        self._open: dict[bytes, int] = defaultdict(int)
        self._calls = buckets(limits.calls_per_second, limits.call_burst)
        self._elements = buckets(limits.elements_per_second, limits.element_burst)
        self._chunks = buckets(limits.chunks_per_second, limits.chunk_burst)
        self._checkpoints = buckets(limits.checkpoints_per_second, limits.checkpoint_burst)
        self._rounds = buckets(limits.rounds_per_hour / 3600, limits.round_burst)
        self._turns: dict[LabId, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(max(_FEWEST_TURNS, turns))
        )

    def open_call(self, certificate: bytes) -> Callable[[], None]:
        """Account for a call, which lasts until what is returned is called.

        Raises TransportError(RATE_LIMITED) if too many came lately, or too many have not ended: a call whose
        request never comes, or whose answer nobody reads, has not.
        """
        self._calls.take(certificate)
        if self._open[certificate] >= self._at_once:
            raise TransportError(Code.RATE_LIMITED, "too many calls at once")
        self._open[certificate] += 1

        def close() -> None:
            self._open[certificate] -= 1

        return close

    def take_chunk(self, lab: LabId, elements: int) -> None:
        """Account for a chunk that a peer wants evaluated: each is kept, and takes entries of the log."""
        self._chunks.take(lab)
        self._elements.take(lab, elements)

    def take_tags(self, lab: LabId, count: int) -> None:
        """Account for tags that are to be looked up, as for elements."""
        self._elements.take(lab, count)

    def take_checkpoint(self, lab: LabId) -> None:
        """Account for a checkpoint: each that is cosigned makes this lab's own log longer."""
        self._checkpoints.take(lab)

    def take_round(self, lab: LabId) -> None:
        """Account for a round that a peer begins: it is kept for ever, and so is what the log says of it."""
        self._rounds.take(lab)

    async def in_turn(self, lab: LabId, work: Callable[[], Awaitable[T]]) -> T:
        """Do a peer's work when it is its turn.

        Who hangs up before leaves the queue. Later, the work goes on and keeps its turn until it is done:
        otherwise calls that are given up as soon as they are made would work without limit.
        """
        turns = self._turns[lab]
        await turns.acquire()
        working = asyncio.ensure_future(work())

        def done(_: asyncio.Future[T]) -> None:
            turns.release()
            # Whoever waited for an error may be gone.
            if not working.cancelled():
                working.exception()

        working.add_done_callback(done)
        return await asyncio.shield(working)
