"""A made-up population of accounts, for measuring behaviour and sequences: operators, applications, people.

Everything is drawn from a seed, so that a figure can be had again. Ranges are those of public reports on
distillation and of products that people know; nobody's traffic is in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from mandorla_protocol.fingerprints.behaviour import SAMPLE, Activity
from mandorla_protocol.fingerprints.steps import Endpoint, ModelClass, Step, Tool

DAY = 86_400
START = 20_454 * DAY

WORDS = [
    "account",
    "answer",
    "argument",
    "balance",
    "battery",
    "biology",
    "bridge",
    "budget",
    "calendar",
    "capital",
    "carbon",
    "channel",
    "chemistry",
    "circuit",
    "climate",
    "colour",
    "compiler",
    "contract",
    "country",
    "criminal",
    "culture",
    "database",
    "decision",
    "delivery",
    "discount",
    "disease",
    "economy",
    "election",
    "electron",
    "employee",
    "engine",
    "equation",
    "evidence",
    "exercise",
    "family",
    "finance",
    "forest",
    "function",
    "geometry",
    "government",
    "grammar",
    "harbour",
    "history",
    "hospital",
    "industry",
    "insurance",
    "invoice",
    "journal",
    "kitchen",
    "language",
    "lawyer",
    "lecture",
    "library",
    "machine",
    "mineral",
    "molecule",
    "mountain",
    "museum",
    "network",
    "novel",
    "ocean",
    "opinion",
    "orchestra",
    "painting",
    "parliament",
    "passenger",
    "patient",
    "philosophy",
    "physics",
    "planet",
    "poetry",
    "policy",
    "pollution",
    "population",
    "pressure",
    "printer",
    "probability",
    "project",
    "protein",
    "quantum",
    "railway",
    "recipe",
    "religion",
    "river",
    "satellite",
    "schedule",
    "science",
    "sentence",
    "software",
    "statistics",
    "surgery",
    "telescope",
    "theatre",
    "theorem",
    "tourism",
    "traffic",
    "transport",
    "treaty",
    "university",
    "vaccine",
    "vehicle",
    "village",
    "volcano",
    "weather",
    "wedding",
]


@dataclass(frozen=True)
class Program:
    """What sends requests: a cycle of steps, and how its times and prompts come about.

    `jitter` is the standard deviation of a gap's logarithm, `hours` the hours of UTC at which it works.
    """

    name: str
    cycle: tuple[tuple[Step, float], ...]
    daily: float
    jitter: float
    hours: tuple[int, int]
    templates: tuple[str, ...]
    topics: tuple[str, ...]
    sharing: int
    skips: float


@dataclass(frozen=True)
class Account:
    """An account's trace."""

    owner: str
    activity: Activity
    steps: bytes


def _step(random: Random, agent: bool) -> tuple[Step, float]:
    """Draw a step; most are a chat without tools, of common sizes, because most requests are."""
    step = Step(
        endpoint=Endpoint.CHAT if random.random() < 0.85 else random.choice(tuple(Endpoint)[2:6]),
        model=random.choices(tuple(ModelClass)[1:5], (4, 4, 2, 2))[0],
        tools=Tool(random.choice((0, 0, 1, 2, 8, 32)) if agent else 0),
        prompt_size=int(math.exp(random.gauss(6.5, 1.2))),
        answer_size=int(math.exp(random.gauss(7, 1))),
    )
    return step, math.exp(random.uniform(0, 2))


def _templates(random: Random, count: int) -> tuple[str, ...]:
    return tuple(" ".join(random.choices(WORDS, k=12)) for _ in range(count))


def operator(random: Random, name: str) -> Program:
    """An operator's harness: a pipeline of a few kinds of request, run by many accounts around the clock."""
    first = random.randrange(24)
    return Program(
        name,
        tuple(_step(random, random.random() < 0.5) for _ in range(random.randint(3, 7))),
        daily=math.exp(random.uniform(math.log(150), math.log(6000))),
        jitter=random.choice((0.05, 0.2, 0.5, 0.9)),
        hours=(0, 24) if random.random() < 0.6 else (first, first + 12),
        templates=_templates(random, random.choice((1, 2, 3, 8))),
        topics=tuple(random.sample(WORDS, random.choice((4, 20, 60)))),
        sharing=random.choice((1, 1, 3, 6, 12, 40)),
        skips=0.03,
    )


def application(random: Random, name: str) -> Program:
    """A product built on the interface: one program too, but one account, on its own instrument."""
    return Program(
        name,
        tuple(_step(random, True) for _ in range(random.randint(1, 5))),
        daily=math.exp(random.uniform(math.log(200), math.log(8000))),
        jitter=random.uniform(0.6, 1.5),
        hours=(0, 24) if random.random() < 0.4 else (random.randrange(4, 18), 28),
        templates=_templates(random, random.choice((1, 1, 2, 5))),
        topics=tuple(random.sample(WORDS, random.choice((10, 40, 80)))),
        sharing=1,
        skips=0.1,
    )


def researcher(random: Random, name: str, harness: Program) -> Program:
    """Somebody honest who runs the harness of an operator, which is public, on work of their own."""
    return replace(
        harness,
        name=name,
        daily=math.exp(random.uniform(math.log(100), math.log(1000))),
        hours=(first := random.randrange(24), first + 10),
        templates=_templates(random, 2),
        topics=tuple(random.sample(WORDS, 20)),
        sharing=1,
    )


def person(random: Random, name: str, tool: Program | None) -> Program:
    """A heavy user: awake for some hours, irregular, of many topics; some use an agent that many have."""
    first = random.randrange(24)
    cycle = tool.cycle if tool else tuple(_step(random, False) for _ in range(random.randint(4, 9)))
    return Program(
        name,
        cycle,
        daily=math.exp(random.uniform(math.log(30), math.log(500))),
        jitter=random.uniform(1.0, 2.0),
        hours=(first, first + random.randint(8, 15)),
        templates=_templates(random, 1) if tool else (),
        topics=WORDS,
        sharing=random.choice((1, 1, 1, 1, 2, 5)),
        skips=0.15 if tool else 0.6,
    )


def run(random: Random, program: Program, days: int = 4, most: int = 2000) -> Account:
    """Let an account run its program for some days."""
    pace = program.daily * math.exp(random.gauss(0, 0.25))
    scale = (program.hours[1] - program.hours[0]) / 24 * DAY / pace
    weights = [weight for _, weight in program.cycle]
    mean = sum(weights) / len(weights)
    spread = math.exp(program.jitter**2 / 2)
    times: list[int] = []
    steps = bytearray()
    now, place, last = START + random.random() * DAY, random.randrange(len(program.cycle)), None
    while now < START + days * DAY and len(times) < most:
        if not _works(now, program.hours):
            now += 600 * random.uniform(0.5, 1.5)
            continue
        step, weight = program.cycle[place]
        time = int(now)
        steps += Step(
            step.endpoint,
            step.model,
            step.tools,
            int(step.prompt_size * math.exp(random.gauss(0, 0.15))),
            int(step.answer_size * math.exp(random.gauss(0, 0.3))),
            None if last is None else time - last,
        ).encode()
        times.append(time)
        last = time
        gap = scale * weight / mean * math.exp(random.gauss(0, program.jitter)) / spread
        now += max(gap, 0.2)
        skipped = random.random() < program.skips
        place = random.randrange(len(program.cycle)) if skipped else (place + 1) % len(program.cycle)
    prompts = tuple(_prompt(random, program) for _ in times[:SAMPLE])
    sharing = max(1, round(program.sharing * math.exp(random.gauss(0, 0.3)))) if program.sharing > 1 else 1
    return Account(program.name, Activity(times, prompts, sharing), bytes(steps))


def _works(now: float, hours: tuple[int, int]) -> bool:
    hour = now % DAY / 3600
    return hours[0] <= hour < hours[1] or hours[0] <= hour + 24 < hours[1]


def _prompt(random: Random, program: Program) -> str:
    payload = " ".join(random.choices(program.topics, k=6))
    if program.templates:
        return f"{random.choice(program.templates)} {payload}"
    return " ".join(random.choices(WORDS, k=3)) + " " + payload


def harness(seed: int, number: int) -> Program:
    """Return the program of an operator."""
    return operator(Random(f"{seed} operator {number}"), f"operator {number}")


def operators(seed: int, count: int, accounts: int) -> Iterator[tuple[list[Account], list[Account]]]:
    """Yield each operator's accounts at two labs."""
    for number in range(count):
        program = harness(seed, number)
        one, other = (
            [run(Random(f"{seed} {program.name} {lab} {n}"), program) for n in range(accounts)]
            for lab in ("a", "b")
        )
        yield one, other


def honest(seed: int, kind: str, count: int) -> Iterator[Account]:
    """Yield honest accounts of a kind.

    `people`; `agents`: people with one of five agents that many have; `applications`; `same program`: people
    who run the program of the operator of their number.
    """
    # The same agents whatever the seed: everybody has them.
    agents = [application(Random(f"agent {n}"), f"agent {n}") for n in range(5)]
    for number in range(count):
        random = Random(f"{seed} {kind} {number}")
        name = f"{kind} {number}"
        match kind:
            case "applications":
                program = application(random, name)
            case "agents":
                program = person(random, name, random.choice(agents))
            case "same program":
                program = researcher(random, name, harness(seed, number))
            case _:
                program = person(random, name, None)
        yield run(random, program)
