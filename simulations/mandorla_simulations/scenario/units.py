"""Quantities in a scenario: durations, rates and amounts of money, each with its unit."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, Field

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400

_SECONDS: Final = {"s": 1, "min": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION: Final = re.compile(r"(\d{1,9}) ?(s|min|h|d|w)")
_PER_DAY: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?/ ?day")
_MONEY: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,2}))? USD")


def parse_duration(value: object) -> int:
    """Read a duration such as `90s`, `10min`, `6h`, `14d` or `2w`; return seconds.

    Raises ValueError that says how a duration is written.
    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return int(match[1]) * _SECONDS[match[2]]
    raise ValueError(
        'a duration is written as a whole number and a unit, such as "90s", "10min", "6h" or "14d"'
    )


def parse_rate(value: object) -> float:
    """Read a rate such as `0.05/day`; return the number a day.

    Raises ValueError that says how a rate is written.
    """
    if isinstance(value, str) and (match := _PER_DAY.fullmatch(value)):
        return float(match[1])
    raise ValueError('a rate is written per day, such as "0.05/day" or "300/day"')


def parse_money(value: object) -> int:
    """Read an amount such as `0.25 USD`; return cents.

    Raises ValueError that says how an amount is written.
    """
    if isinstance(value, str) and (match := _MONEY.fullmatch(value)):
        return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))
    raise ValueError('an amount is written with its currency, such as "0.25 USD" or "15000 USD"')


def write_duration(seconds: int) -> str:
    """Write seconds in the largest unit of which they are a multiple."""
    for unit in ("w", "d", "h", "min"):
        if seconds and seconds % _SECONDS[unit] == 0 and not (unit == "w" and seconds < 4 * _SECONDS["w"]):
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


Seconds: TypeAlias = Annotated[int, BeforeValidator(parse_duration)]
"""A duration; zero is allowed."""

Period: TypeAlias = Annotated[int, BeforeValidator(parse_duration), Field(ge=1)]
"""A duration that is not zero."""

PerDay: TypeAlias = Annotated[float, BeforeValidator(parse_rate)]
Cents: TypeAlias = Annotated[int, BeforeValidator(parse_money)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Positive: TypeAlias = Annotated[int, Field(ge=1, le=10**12)]
