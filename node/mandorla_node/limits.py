"""Rate limits, checked before any work is done for a peer."""

from __future__ import annotations

import time
from collections.abc import Callable

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, TransportError

from .settings import Limits


class TokenBucket:
    """A bucket of `burst` tokens that refills at `rate` a second."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._level = burst
        self._filled_at = monotonic()

    def take(self, tokens: float) -> None:
        """Take tokens; raises TransportError(RATE_LIMITED), and takes none, if there are too few."""
        now = self._monotonic()
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if tokens > self._level:
            raise TransportError(Code.RATE_LIMITED)
        self._level -= tokens


class PeerLimits:
    """Three buckets for each peer: calls, elements to evaluate, and checkpoints to cosign."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._calls: dict[LabId, TokenBucket] = {}
        self._elements: dict[LabId, TokenBucket] = {}
        self._checkpoints: dict[LabId, TokenBucket] = {}

    def take_call(self, lab: LabId) -> None:
        """Account for a call of a peer."""
        limits = self._limits
        self._take(self._calls, lab, 1, limits.calls_per_second, limits.call_burst)

    def take_elements(self, lab: LabId, count: int) -> None:
        """Account for elements that a peer wants evaluated."""
        limits = self._limits
        self._take(self._elements, lab, count, limits.elements_per_second, limits.element_burst)

    def take_checkpoint(self, lab: LabId) -> None:
        """Account for a checkpoint: each that is cosigned makes this lab's own log longer."""
        limits = self._limits
        self._take(self._checkpoints, lab, 1, limits.checkpoints_per_second, limits.checkpoint_burst)

    def _take(
        self, buckets: dict[LabId, TokenBucket], lab: LabId, tokens: int, rate: float, burst: float
    ) -> None:
        bucket = buckets.get(lab)
        if bucket is None:
            bucket = buckets[lab] = TokenBucket(rate, burst, self._monotonic)
        bucket.take(tokens)
