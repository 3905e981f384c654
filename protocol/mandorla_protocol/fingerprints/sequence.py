"""Request sequences (SPEC A.9): the order of an account's requests, as winnowed n-grams of its steps."""

from __future__ import annotations

import hashlib
from typing import Final

from ..encoding import Writer
from .steps import STEP_SIZE

GRAM: Final = 5
"""Steps of an n-gram."""

WINDOW: Final = 4
"""Consecutive n-grams of which the least is taken, so that two accounts that share as many share a value."""

MIN_DISTINCT: Final = 3
"""Different steps that an n-gram holds at least: fewer are a loop, such as anybody's chat."""

MAX_VALUES: Final = 64
"""Values of an account at most, the least of them: the same that another account with the same ones keeps."""

_VALUE_SIZE: Final = 16


def sequence_values(steps: bytes) -> tuple[str, ...]:
    """Return the `request-sequence` values of an account, sorted (SPEC A.9).

    `steps` are its encoded steps in order of time, `STEP_SIZE` bytes each.

    Schleimer, Wilkerson and Aiken, "Winnowing: local algorithms for document fingerprinting" (2003).
    """
    known: dict[bytes, bytes] = {}
    values: list[bytes] = []
    for start in range(0, len(steps) - GRAM * STEP_SIZE + 1, STEP_SIZE):
        gram = steps[start : start + GRAM * STEP_SIZE]
        value = known.get(gram)
        if value is None:
            value = known[gram] = gram_value(gram) if is_telling(gram) else b""
        if value:
            values.append(value)
    if not values:
        return ()
    windows = range(max(1, len(values) - WINDOW + 1))
    taken = {min(values[first : first + WINDOW]) for first in windows}
    return tuple(value.hex() for value in sorted(taken)[:MAX_VALUES])


def is_telling(gram: bytes) -> bool:
    """Say whether an n-gram holds enough different steps to tell programs apart."""
    steps = {gram[start : start + STEP_SIZE] for start in range(0, len(gram), STEP_SIZE)}
    return len(steps) >= MIN_DISTINCT


def gram_value(gram: bytes) -> bytes:
    """Return the value of an n-gram: BLAKE2b of its encoding (SPEC 14.2), 16 bytes."""
    return hashlib.blake2b(_START + gram, digest_size=_VALUE_SIZE).digest()


_START: Final = Writer("mandorla/v1 request sequence").finish()
