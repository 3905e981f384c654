"""Random draws: each is a function of the seed, a stream, an entity and a purpose.

No draw depends on the order of events. Two runs of one seed that differ in what the labs share have the same
accounts, the same users and the same luck. Sharing alone explains their difference (common random numbers).
The generator is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) over a counter. Draws that are
not uniform come from tables with correctly rounded entries. No draw uses the mathematical library of the
platform, so a seed gives the same draws on every machine.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MASK: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB
_ENTITY: Final = 0xD1B54A32D192ED03
_UNIT: Final = 2.0**-53
_TABLE: Final = 1_024
_BLOCK: Final = 1_024
_EMPTY: Final[list[float]] = []


def _mix(value: int) -> int:
    value = (value + _GAMMA) & _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


class Stream:
    """The draws of one seed under one name."""

    def __init__(self, seed: int, name: str) -> None:
        digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
        self._key = int.from_bytes(digest, "big")
        self._columns: dict[int, list[float]] = {}

    def unit(self, entity: int, purpose: int = 0) -> float:
        """Draw uniformly from [0, 1)."""
        inner = _mix(self._key ^ (entity * _ENTITY & _MASK))
        return (_mix((inner + purpose) & _MASK) >> 11) * _UNIT

    def cached_unit(self, entity: int, purpose: int) -> float:
        """Draw what `unit` draws; faster if the caller asks for nearly every entity up to this one."""
        column = self._columns.get(purpose, _EMPTY)
        if entity >= len(column):
            column = self._columns[purpose] = self.units(max(_BLOCK, 2 * entity), purpose).tolist()
        return column[entity]

    def below(self, bound: int, entity: int, purpose: int = 0) -> int:
        """Draw a whole number from [0, bound), for a bound far below 2**53."""
        return int(self.unit(entity, purpose) * bound)

    def units(self, count: int, purpose: int = 0) -> NDArray[np.float64]:
        """Draw what `unit` draws, for the entities 0 to count - 1."""
        entities = np.arange(count, dtype=np.uint64) * np.uint64(_ENTITY)
        inner = _mix_array(np.uint64(self._key) ^ entities)
        return (_mix_array(inner + np.uint64(purpose)) >> np.uint64(11)).astype(np.float64) * _UNIT


def _mix_array(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(_GAMMA)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    return values ^ (values >> np.uint64(31))


def waiting_time(unit: float) -> float:
    """Turn a uniform draw into an exponential one with mean 1, by linear interpolation in a table.

    The table ends at ln(1024) + ln(2), about 7.6; one draw in 2,000 would be longer.
    """
    table = _exponential()
    place = unit * _TABLE
    index = int(place)
    return table[index] + (place - index) * (table[index + 1] - table[index])


@cache
def _exponential() -> tuple[float, ...]:
    # Decimal rounds its logarithm correctly; the platform's library may not.
    steps = [-(Decimal(_TABLE - index) / _TABLE).ln() for index in range(_TABLE)]
    return tuple(float(step) for step in (*steps, steps[-1] + Decimal(2).ln()))
