"""Means over seeds, with confidence intervals.

The quantiles of Student's t are a table, and not scipy's: a run needs this one function, which would cost an
installation of 140 MB and 0.2 s at each start. The table also gives the same digits on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_T: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""The 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom."""

_NORMAL: Final = 1.959964
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds with its 95 % confidence interval; of one seed the interval is not known (None)."""

    mean: float
    low: float | None
    high: float | None


def estimate(values: Sequence[float]) -> Estimate:
    """Estimate a mean by Student's t.

    Raises ValueError if there are no values.
    """
    count = len(values)
    if not count:
        raise ValueError("no values to estimate from")
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, None, None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = _quantile(count - 1) * math.sqrt(variance / count)
    return Estimate(mean, mean - half, mean + half)


def _quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t.

    Beyond the table it is the expansion in 1/freedom to the second order (Abramowitz and Stegun 26.7.5),
    which is exact to three decimals there.
    """
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def estimate_known(values: Sequence[float | None]) -> Estimate | None:
    """Estimate a mean; None if a value is missing."""
    known = [value for value in values if value is not None]
    return estimate(known) if len(known) == len(values) else None
