"""Behaviour (SPEC A.9): the use of an account, as a cell of a coarse grid and its nearest neighbours."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

from ..encoding import Writer
from .prompt_text import normalise, words

MIN_REQUESTS: Final = 50
"""The fewest requests of an account with behaviour values."""

SAMPLE: Final = 64
"""The most prompts of an account that count: the earliest."""

PROBED: Final = 4
"""The number of features whose neighbouring cell counts too: those nearest to a border of their cell."""

MAX_PROMPT: Final = 4096
"""The most characters of a prompt that count: the first."""

_DAY: Final = 86_400
_NIGHT: Final = 21_600
_SHARES: Final = 64
_UNKNOWN: Final = 255
_OPENING: Final = 6
_VALUE_SIZE: Final = 16


@dataclass(frozen=True, slots=True, repr=False)
class Activity:
    """The activity of one account.

    `times` are the Unix seconds of its requests, in any order. `prompts` are its first `SAMPLE` prompts in
    order of time, and none if the lab does not log prompts. `sharing` is the number of accounts with its
    payment instrument, itself included; 0 if the lab does not know.
    """

    times: Sequence[int]
    prompts: Sequence[str] = ()
    sharing: int = 0


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of behaviour: the width of its cells, and the distance by which the first begins before 0."""

    name: str
    width: int
    shift: int = 0


FEATURES: Final = (
    Feature("rate", 4),
    Feature("night", 8, 4),
    Feature("regularity", 4),
    Feature("reuse", 8, 4),
    Feature("spread", 8, 4),
    Feature("sharing", 4, 2),
)


def behaviour_values(activity: Activity) -> tuple[str, ...]:
    """Return the sorted `behaviour` values of an account; none for fewer than `MIN_REQUESTS` (SPEC A.9)."""
    if len(activity.times) < MIN_REQUESTS:
        return ()
    return tuple(sorted(cell_value(cell) for cell in cells(measures(activity))))


def measures(activity: Activity) -> tuple[int | None, ...]:
    """Return the features of an account as integers, in the order of `FEATURES`; None for an unknown feature.

    Logarithms are in quarters, shares in 64ths. All arithmetic is in integers, so that two labs agree.
    """
    times = sorted(activity.times)
    days = len({time // _DAY for time in times})
    night = sum(time % _DAY < _NIGHT for time in times)
    gaps = sorted(after - before for before, after in pairwise(times))
    quarter, three_quarters = gaps[(len(gaps) - 1) // 4], gaps[3 * (len(gaps) - 1) // 4]
    reuse, spread = _of_prompts(activity.prompts)
    return (
        quarter_logarithm(len(times), days),
        _SHARES * night // len(times),
        quarter_logarithm(three_quarters + 1, quarter + 1),
        reuse,
        spread,
        quarter_logarithm(activity.sharing, 1) if activity.sharing else None,
    )


def cells(measured: Sequence[int | None]) -> tuple[tuple[int, ...], ...]:
    """Return the cell of an account and the neighbours nearest to it: at most 2**`PROBED` cells (SPEC A.9).

    Two similar accounts may lie on two sides of a border. With the neighbours they still share cells.
    """
    own: list[int] = []
    near: list[tuple[int, int, int]] = []
    for index, (feature, value) in enumerate(zip(FEATURES, measured, strict=True)):
        if value is None:
            own.append(_UNKNOWN)
            continue
        cell, place = divmod(value + feature.shift, feature.width)
        own.append(cell)
        below = 2 * place + 1 <= feature.width
        neighbour = cell - 1 if below else cell + 1
        distance = 2 * (place if below else feature.width - 1 - place) + 1
        if neighbour >= 0:
            # The distance to the border, in eighths of half a cell. All widths divide 8, so this is an
            # integer.
            near.append((distance * 8 // feature.width, index, neighbour))
    probed = {index: neighbour for _, index, neighbour in sorted(near)[:PROBED]}
    choices = [(cell, probed[index]) if index in probed else (cell,) for index, cell in enumerate(own)]
    return tuple(product(*choices))


def cell_value(cell: Sequence[int]) -> str:
    """Return the value of a cell, 32 hexadecimal digits: BLAKE2b of its encoding (SPEC 14.2)."""
    encoding = Writer("mandorla/v1 behaviour").fixed(bytes(cell), len(FEATURES)).finish()
    return hashlib.blake2b(encoding, digest_size=_VALUE_SIZE).hexdigest()


def quarter_logarithm(numerator: int, denominator: int) -> int:
    """Return floor(4 log2(numerator / denominator)) exactly, for a fraction of at least 1."""
    return (numerator**4 // denominator**4).bit_length() - 1


def _of_prompts(prompts: Sequence[str]) -> tuple[int | None, int | None]:
    """Return template reuse and topic spread in 64ths; None without prompts."""
    openings: Counter[str] = Counter()
    topics: set[str] = set()
    for prompt in prompts:
        found = words(normalise(prompt[:MAX_PROMPT]))
        openings[" ".join(found[:_OPENING])] += 1
        topics.add(max(found, key=lambda word: (len(word), word), default=""))
    if not prompts:
        return None, None
    return _SHARES * max(openings.values()) // len(prompts), _SHARES * len(topics) // len(prompts)
