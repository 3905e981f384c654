"""Vectors of behaviour and sequences (SPEC A.9), computed by the steps that SPEC lists."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product
from typing import Final, TypeAlias

from .inputs import Case, Value, derived, good
from .prompts import words
from .structures import Fields, domain, join

ABOUT: Final = "Steps, the values of sequences of them, and the values of an account's behaviour"
SPEC: Final = "A.9"

SIZES: Final = (1, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144)
GAPS: Final = (1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536)
DAY: Final = 86_400

Times: TypeAlias = list[tuple[int, int, int]]
"""Runs of times: the first, the seconds between them, and how many."""


def request_sequence(steps: bytes) -> Fields:
    """Encode an n-gram."""
    return domain("request sequence") | {"steps": steps}


def behaviour(cell: tuple[int, ...]) -> Fields:
    """Encode a cell."""
    return domain("behaviour") | {"cell": bytes(cell)}


def value(fields: Fields) -> str:
    """Hash a structure."""
    return hashlib.blake2b(join(fields), digest_size=16).hexdigest()


def step(given: Value) -> bytes:
    """Return the six bytes of a step; a gap of -1 is none."""
    sizes = [sum(size >= limit for limit in SIZES) for size in (given["prompt_size"], given["answer_size"])]
    gap = 0 if given["gap"] < 0 else 1 + sum(given["gap"] >= limit for limit in GAPS)
    return bytes([given["endpoint"], given["model"], given["tools"], *sizes, gap])


def sequence_values(steps: bytes) -> list[str]:
    """Return the values of a sequence, by steps 1 to 4 of SPEC A.9."""
    one_by_one = [steps[place : place + 6] for place in range(0, len(steps), 6)]
    grams = [one_by_one[place : place + 5] for place in range(len(one_by_one) - 4)]
    left = [value(request_sequence(b"".join(gram))) for gram in grams if len(set(gram)) >= 3]
    if len(left) < 4:
        return [min(left)] if left else []
    return sorted({min(left[place : place + 4]) for place in range(len(left) - 3)})[:64]


def logarithm(over: int, under: int) -> int:
    """Return the quarter-logarithm: the greatest n with 2^n <= (over / under)^4."""
    n = 0
    while Fraction(over, under) ** 4 >= 2 ** (n + 1):
        n += 1
    return n


def numbers(times: list[int], prompts: list[str], sharing: int) -> list[int | None]:
    """Return the six features; None for an unknown one."""
    times = sorted(times)
    gaps = sorted(later - before for before, later in pairwise(times))
    lower, upper = gaps[math.floor((len(gaps) - 1) / 4)], gaps[math.floor(3 * (len(gaps) - 1) / 4)]
    found = [words(prompt[:4_096]) for prompt in prompts]
    openings = [tuple(some[:6]) for some in found]
    topics = {sorted(some, key=lambda word: (len(word), word))[-1] if some else "" for some in found}
    night = sum(time % DAY < 6 * 3_600 for time in times)
    return [
        logarithm(len(times), len({time // DAY for time in times})),
        math.floor(Fraction(64 * night, len(times))),
        logarithm(upper + 1, lower + 1),
        64 * max(map(openings.count, openings)) // len(prompts) if prompts else None,
        64 * len(topics) // len(prompts) if prompts else None,
        logarithm(sharing, 1) if sharing else None,
    ]


def behaviour_values(times: list[int], prompts: list[str], sharing: int) -> list[str]:
    """Return the values of a behaviour, by steps 1 to 4 of SPEC A.9."""
    if len(times) < 50:
        return []
    choices: list[list[int]] = []
    distances: list[tuple[Fraction, int]] = []
    for place, (number, width, shift) in enumerate(
        zip(numbers(times, prompts, sharing), (4, 8, 4, 8, 8, 4), (0, 4, 0, 4, 4, 2), strict=True)
    ):
        if number is None:
            choices.append([255])
            continue
        coordinate, within = divmod(number + shift, width)
        below = 2 * within + 1 <= width
        choices.append([coordinate, coordinate - 1 if below else coordinate + 1])
        if coordinate or not below:
            distance = Fraction(8 * (2 * (within if below else width - 1 - within) + 1), width)
            distances.append((distance, place))
    probed = [place for _, place in sorted(distances)[:4]]
    cells = product(*(two if place in probed else two[:1] for place, two in enumerate(choices)))
    return sorted(value(behaviour(cell)) for cell in cells)


def spread(times: Times) -> list[int]:
    """Return runs of one time each."""
    return [first + place * gap for first, gap, count in times for place in range(count)]


def request(endpoint: int, model: int, tools: int, prompt: int, answer: int, gap: int) -> Value:
    """Return a request's classes, sizes and gap."""
    names = ("endpoint", "model", "tools", "prompt_size", "answer_size", "gap")
    return dict(zip(names, (endpoint, model, tools, prompt, answer, gap), strict=True))


STEPS: Final[dict[str, Value]] = {
    "first": request(1, 1, 0, 500, 2_000, -1),
    "unknown-sizes": request(0, 0, 0, 0, 0, 0),
    "largest": request(9, 7, 127, 2**40, 2**40, 2**40),
    **{f"size-{size}": request(1, 2, 1, size, size - 1, 5) for size in SIZES},
    **{f"gap-{gap}": request(1, 2, 1, 5, 5, gap) for gap in GAPS},
    **{f"gap-{gap - 1}": request(1, 2, 1, 5, 5, gap - 1) for gap in GAPS[1:]},
}


def steps_of(kinds: str) -> bytes:
    """Return a sequence of steps, given one letter for each step."""
    return b"".join(bytes([1, ord(kind) - 96, 0, 3, 4, 2]) for kind in kinds)


SEQUENCES: Final[dict[str, bytes]] = {
    "nothing": b"",
    "four-steps": steps_of("abcd"),
    "five-steps": steps_of("abcde"),
    "seven-steps": steps_of("abcdefg"),
    "eight-steps": steps_of("abcdefgh"),
    "nine-steps": steps_of("abcdefghi"),
    "loop-of-one": steps_of("a" * 20),
    "loop-of-two": steps_of("ab" * 10),
    "loop-of-three": steps_of("abc" * 10),
    "loop-of-eight": steps_of("abcdefgh" * 4),
    "loop-with-a-break": steps_of("ab" * 6 + "c" + "ab" * 6),
    "random": bytes(byte % 4 for byte in derived("steps of an account", 60 * 6)),
    "more-than-64-values": bytes(byte % 4 for byte in derived("steps of a long account", 220 * 6)),
}

START: Final = 1_767_225_600
TEMPLATE: Final = "You are a careful examiner; grade answer {} about "
ACTIVITIES: Final[dict[str, tuple[Times, list[str], int]]] = {
    "forty-nine-requests": ([(START, 60, 49)], [], 0),
    "times-alone": ([(START, 60, 50)], [], 0),
    "round-the-clock": ([(START, 600, 432)], [f"{TEMPLATE}topic {n % 5}" for n in range(64)], 12),
    "at-night": ([(START + 3_600, 45, 300)], [TEMPLATE] * 8, 1),
    "by-day": (
        [(START + 9 * 3_600, 300, 60), (START + DAY + 10 * 3_600, 17, 90)],
        [f"{chr(97 + n)} question of mine, number {n}?" for n in range(20)],
        3,
    ),
    "all-at-once": ([(START, 0, 80)], [""], 1),
    "in-bursts": ([(START + n * 9_000, 2, 15) for n in range(9)], ["été", "Été\u0301", "ETE"], 40),
    "long-prompt": ([(START, 33, 70)], ["word " * 900 + "a-very-long-word", "wordier"], 2**32 - 1),
}


def cases() -> Iterator[Case]:
    """Yield all vectors of behaviour and sequences."""
    for title, given in STEPS.items():
        yield good(f"step-{title}", "encode-step", given, {"step": step(given)})
    for title, steps in SEQUENCES.items():
        found = sequence_values(steps)
        yield good(f"sequence-{title}", "sequence-values", {"steps": steps}, {"values": found})
    for title, (times, prompts, sharing) in ACTIVITIES.items():
        account: Value = {"times": times, "prompts": prompts, "sharing": sharing}
        values = behaviour_values(spread(times), prompts, sharing)
        yield good(f"behaviour-{title}", "behaviour-values", account, {"values": values})
