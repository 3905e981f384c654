"""What each lab sees and judges, and when: all of it drawn from a seed, so that two runs do the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

LABS = ("lab-a", "lab-b", "lab-c")

_SPREAD = 8.0
"""Seconds within which all do what they do with an indicator: it is seen before it is flagged, or after."""


class Thing(NamedTuple):
    """An indicator, by type and text."""

    type: str
    value: str


class Verb(Enum):
    """What a lab does: it flags, with a label; it observes; it asks, which observes too."""

    FLAG = "flag"
    OBSERVE = "observe"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a lab does, `at` seconds after the beginning.

    `expires` is when its label does, in the same seconds; 0 for never.
    """

    at: float
    lab: str
    verb: Verb
    thing: Thing
    confidence: int = 0
    expires: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much goes on. Rates are of all labs together, per second."""

    seconds: float
    new: float = 3.0
    checks: float = 10.0


@dataclass(slots=True)
class _Draws:
    random: random.Random
    end: float
    deeds: list[Deed] = field(default_factory=list)

    def do(self, deed: Deed) -> None:
        """Add a deed, if there is time for it; nothing expires much after the end."""
        if deed.at < self.end:
            self.deeds.append(replace(deed, expires=min(deed.expires, self.end)))

    def within(self, least: float, most: float) -> float:
        """Draw a number of seconds."""
        return self.random.uniform(least, most)


def plan(seed: int, load: Load) -> list[Deed]:
    """Return what the labs do, in order."""
    draws = _Draws(random.Random(seed), load.seconds)
    seen: list[tuple[float, str, Thing]] = []
    for number, at in enumerate(_moments(load.seconds, load.new)):
        thing = _thing(number)
        _judge(draws, at, thing)
        seen += _see(draws, at, thing)
    seen.sort()
    for at in _moments(load.seconds, load.checks):
        if known := [one for one in seen[-400:] if one[0] < at] or seen[:1]:
            _, lab, thing = draws.random.choice(known)
            draws.do(Deed(at, lab, Verb.CHECK, thing))
    return sorted(draws.deeds, key=lambda deed: deed.at)


def _moments(seconds: float, rate: float) -> Iterator[float]:
    return (number / rate for number in range(int(seconds * rate)))


def _thing(number: int) -> Thing:
    if number % 3 == 0:
        return Thing("email", f"user{number}@shop{number % 97}.example.net")
    return Thing("ipv4", f"{45 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7")


def _judge(draws: _Draws, at: float, thing: Thing) -> None:
    """Have nobody, one or two labs flag it; some of them relabel it, let it expire, or take it back."""
    for lab in draws.random.sample(LABS, draws.random.choice((0, 1, 1, 1, 1, 2, 2))):
        when = at + draws.within(0, _SPREAD)
        flag = Deed(when, lab, Verb.FLAG, thing, draws.random.randint(1, 100))
        match draws.random.choices(("stays", "expires", "again", "other", "back"), (70, 8, 6, 8, 8))[0]:
            case "expires":
                flags = [replace(flag, expires=when + draws.within(3, 15))]
            case "again":
                ends = when + draws.within(3, 15)
                flags = [replace(flag, expires=ends), replace(flag, at=ends + draws.within(2, 6))]
            case "other":
                later = when + draws.within(2, 20)
                flags = [flag, replace(flag, at=later, confidence=draws.random.randint(1, 100))]
            case "back":
                later = when + draws.within(2, 20)
                flags = [flag, replace(flag, at=later, expires=later + draws.within(1, 5))]
            case _:
                flags = [flag]
        for deed in flags:
            draws.do(deed)


def _see(draws: _Draws, at: float, thing: Thing) -> Iterator[tuple[float, str, Thing]]:
    """Have some labs see it; yield when which of them did."""
    for lab in LABS:
        if draws.random.random() < 0.55:
            when = at + draws.within(0, _SPREAD)
            verb = Verb.CHECK if draws.random.random() < 0.3 else Verb.OBSERVE
            draws.do(Deed(when, lab, verb, thing))
            if when < draws.end:
                yield when, lab, thing
