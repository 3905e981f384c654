"""Limits on what one peer can ask, checked before the node works for it: rates, open calls, concurrent work.

The node refuses a request over a rate with RATE_LIMITED. Requests within the rates share a few turns for each
peer, so that the requests of a busy peer wait for each other and not for those of other peers.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, TransportError

from ..config.peer_settings import LimitSettings, PeerSettings
from ..core.token_bucket import TokenBucket
from ..store import Peer

T = TypeVar("T")

_MIN_TURNS: Final = 2


class PeerBuckets:
    """One token bucket for each peer, created full when the node first takes from it."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: dict[bytes, TokenBucket] = {}

    def take(self, peer: bytes, tokens: float = 1, rate: float | None = None) -> None:
        """Take tokens from a peer's bucket; raises TransportError(RATE_LIMITED) if it has too few.

        `rate` is the peer's own rate, if it has one. It holds from the first call on.
        """
        bucket = self._buckets.get(peer)
        if bucket is None:
            bucket = self._buckets[peer] = TokenBucket(rate or self._rate, self._burst, self._monotonic)
        if not bucket.take(tokens):
            raise TransportError(Code.RATE_LIMITED)


class RateLimits:
    """Limits on each peer: on its calls by certificate hash, on everything else by identity.

    `peers` has the settings of single peers, by name. `turns` is the number of tasks that run for one peer at
    a time.
    """

    def __init__(
        self,
        settings: LimitSettings,
        peers: Mapping[str, PeerSettings],
        turns: int = _MIN_TURNS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        def buckets(rate: float, burst: float) -> PeerBuckets:
            return PeerBuckets(rate, burst, monotonic)

        self._peers = peers
        self._max_open_calls = settings.calls_at_once
        self._open_calls: dict[bytes, int] = defaultdict(int)
        self._calls = buckets(settings.calls_per_second, settings.call_burst)
        self._elements = buckets(settings.elements_per_second, settings.element_burst)
        self._chunks = buckets(settings.chunks_per_second, settings.chunk_burst)
        self._checkpoints = buckets(settings.checkpoints_per_second, settings.checkpoint_burst)
        self._rounds = buckets(settings.rounds_per_hour / 3600, settings.round_burst)
        self._turns: dict[LabId, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(max(_MIN_TURNS, turns))
        )

    def open_call(self, certificate_hash: bytes) -> Callable[[], None]:
        """Count a call as open, and return the function that counts it as closed.

        A call stays open while its request does not arrive or nobody reads its answer.

        Raises TransportError(RATE_LIMITED) if the peer calls too often or has too many open calls.
        """
        self._calls.take(certificate_hash)
        if self._open_calls[certificate_hash] >= self._max_open_calls:
            raise TransportError(Code.RATE_LIMITED, "too many open calls")
        self._open_calls[certificate_hash] += 1

        def close() -> None:
            self._open_calls[certificate_hash] -= 1

        return close

    def admit_chunk(self, peer: Peer, elements: int) -> None:
        """Admit a chunk to be evaluated, or raise TransportError(RATE_LIMITED).

        Chunks have a rate besides that of their elements, because the store and the log keep each chunk.
        """
        self._chunks.take(peer.lab)
        self._take_elements(peer, elements)

    def admit_tags(self, peer: Peer, count: int) -> None:
        """Admit reported tags to be looked up, or raise TransportError(RATE_LIMITED).

        A tag takes as much from the rate as an element.
        """
        self._take_elements(peer, count)

    def admit_checkpoint(self, peer: Peer) -> None:
        """Admit a checkpoint, or raise TransportError(RATE_LIMITED): a cosignature extends this lab's log."""
        self._checkpoints.take(peer.lab)

    def admit_round(self, peer: Peer) -> None:
        """Admit a proposed round, or raise TransportError(RATE_LIMITED): store and log keep it for ever."""
        self._rounds.take(peer.lab)

    async def run_in_turn(self, peer: Peer, work: Callable[[], Awaitable[T]]) -> T:
        """Run a peer's work when one of the peer's turns is free.

        If the caller is cancelled while it waits for a turn, the work does not start. If it is cancelled
        later, the work continues and keeps its turn until it ends. Work in a thread cannot be stopped, so a
        peer that gave up each call at once would otherwise start work without a limit.
        """
        turns = self._turns[peer.lab]
        await turns.acquire()
        task = asyncio.ensure_future(work())

        def end_turn(_: asyncio.Future[T]) -> None:
            turns.release()
            # If the caller was cancelled, nobody else reads the error, and asyncio would log it as lost.
            if not task.cancelled():
                task.exception()

        task.add_done_callback(end_turn)
        return await asyncio.shield(task)

    def _take_elements(self, peer: Peer, count: int) -> None:
        settings = self._peers.get(peer.name)
        self._elements.take(peer.lab, count, settings.elements_per_second if settings else None)
