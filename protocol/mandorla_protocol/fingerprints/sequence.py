"""Request sequences (SPEC A.9): the order of an account's requests, as winnowed n-grams of steps.

Winnowing keeps the smallest value of each window of consecutive n-grams. Two accounts that share a whole
window of n-grams share a kept value, wherever the window stands: Schleimer, Wilkerson, Aiken, "Winnowing:
local algorithms for document fingerprinting" (2003).
"""

from __future__ import annotations

import hashlib
from typing import Final

from ..encoding import Writer
from .steps import STEP_SIZE

GRAM: Final = 5
"""The number of steps in an n-gram."""

WINDOW: Final = 4
"""The number of consecutive n-grams in a window."""

MIN_DISTINCT: Final = 3
"""The fewest different steps of an n-gram with a value: fewer are a loop, such as an ordinary chat."""

MAX_VALUES: Final = 64
"""The most values of an account: the smallest, so that similar accounts keep the same values."""

_VALUE_SIZE: Final = 16


def sequence_values(steps: bytes) -> tuple[str, ...]:
    """Return the sorted `request-sequence` values of an account (SPEC A.9).

    `steps` are its encoded steps in order of time, `STEP_SIZE` bytes each.
    """
    cache: dict[bytes, bytes] = {}
    values: list[bytes] = []
    for start in range(0, len(steps) - GRAM * STEP_SIZE + 1, STEP_SIZE):
        gram = steps[start : start + GRAM * STEP_SIZE]
        value = cache.get(gram)
        if value is None:
            value = cache[gram] = gram_value(gram) if is_telling(gram) else b""
        if value:
            values.append(value)
    if not values:
        return ()
    windows = range(max(1, len(values) - WINDOW + 1))
    taken = {min(values[first : first + WINDOW]) for first in windows}
    return tuple(value.hex() for value in sorted(taken)[:MAX_VALUES])


def is_telling(gram: bytes) -> bool:
    """Return whether an n-gram has enough different steps to distinguish programs."""
    steps = {gram[start : start + STEP_SIZE] for start in range(0, len(gram), STEP_SIZE)}
    return len(steps) >= MIN_DISTINCT


def gram_value(gram: bytes) -> bytes:
    """Return the value of an n-gram, 16 bytes: BLAKE2b of its encoding (SPEC 14.2)."""
    return hashlib.blake2b(_START + gram, digest_size=_VALUE_SIZE).digest()


_START: Final = Writer("mandorla/v1 request sequence").finish()
