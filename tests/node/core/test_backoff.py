"""Waits between attempts grow to a limit, and no two callers wait alike."""

from __future__ import annotations

from mandorla_node.core import backoff


def test_waits_grow_to_a_limit_and_no_two_are_alike() -> None:
    waits = backoff.Backoff()
    slept = [waits.next() for _ in range(2_000)]
    for seconds, longest in zip(slept, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[5] * 1_994], strict=True):
        assert longest / 2 <= seconds <= longest
    assert len(set(slept)) == len(slept)
