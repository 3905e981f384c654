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
    """Two buckets for each peer: calls, and elements to evaluate."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._calls: dict[LabId, TokenBucket] = {}
        self._elements: dict[LabId, TokenBucket] = {}

    def take_call(self, lab: LabId) -> None:
        """Account for a call of a peer."""
        limits = self._limits
        bucket = self._calls.get(lab)
        if bucket is None:
            bucket = TokenBucket(limits.calls_per_second, limits.call_burst, self._monotonic)
            self._calls[lab] = bucket
        bucket.take(1)

    def take_elements(self, lab: LabId, count: int) -> None:
        """Account for elements that a peer wants evaluated."""
        limits = self._limits
        bucket = self._elements.get(lab)
        if bucket is None:
            bucket = TokenBucket(limits.elements_per_second, limits.element_burst, self._monotonic)
            self._elements[lab] = bucket
        bucket.take(count)
