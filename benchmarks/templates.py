"""Prompt templates with payloads, as a distilling operator sends them to three labs, and benign prompts.

All of it is derived from a seed. Templates share words, turns of phrase and payloads with each other and
with benign prompts; each account sends a prompt of its template with a payload of its own, and writes it
its own way.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

LABS = 3
TEMPLATES = 200
PROMPTS_A_LAB = 20

QUESTIONS = 20_000
"""Operators and people ask from one list, so some questions come again, but few in one lab."""

BENIGN = 3_000
SEED = 2026

PHRASES = (
    "you are a helpful assistant and an expert in your field",
    "think step by step and explain your reasoning before you answer",
    "answer in complete sentences and do not leave anything out",
    "if you are not sure about something say so and explain why",
    "do not repeat the question and do not add any introduction or closing remarks",
    "format your answer as markdown with headings and bullet points",
)
"""What anyone may write."""


class Sent(NamedTuple):
    """A prompt that an account sent, and the template that it was made from."""

    account: str
    template: int
    prompt: str


@dataclass(frozen=True)
class Corpus:
    """What each lab saw of the templates, and prompts of people who have none."""

    templates: int
    labs: list[list[Sent]]
    benign: list[str]


def generate(templates: int = TEMPLATES, benign: int = BENIGN, seed: int = SEED) -> Corpus:
    """Generate prompts: three in four of a template's words are payload."""
    draw = random.Random(seed)
    words = _vocabulary(draw)
    weights = list(accumulate(1 / (rank + 2) for rank in range(len(words))))

    def text(length: int) -> str:
        return " ".join(draw.choices(words, cum_weights=weights, k=length))

    questions = [text(draw.randint(8, 25)) for _ in range(QUESTIONS)]

    def payload() -> str:
        return f"{draw.choice(questions)} {text(draw.randint(20, 60))}"

    labs: list[list[Sent]] = [[] for _ in range(LABS)]
    for template in range(templates):
        parts = [text(draw.randint(9, 16)) for _ in range(draw.randint(2, 4))]
        if draw.random() < 0.5:
            parts.insert(draw.randrange(len(parts)), draw.choice(PHRASES))
        for lab, seen in enumerate(labs):
            for number in range(PROMPTS_A_LAB):
                filled = [piece for part in parts for piece in (part, payload())]
                prompt = _written(draw, filled if draw.random() < 0.7 else filled[:-1])
                seen.append(Sent(f"{lab}-{template}-{number}", template, prompt))
    people = [_written(draw, [draw.choice(PHRASES), payload(), text(30)]) for _ in range(benign)]
    return Corpus(templates, labs, people)


def _vocabulary(draw: random.Random) -> list[str]:
    """Make 5,000 words of one to three syllables, the commonest first."""
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]
    made: dict[str, None] = {}
    while len(made) < 5_000:
        made["".join(draw.choices(syllables, k=draw.randint(1, 3)))] = None
    return sorted(made, key=len)


def _written(draw: random.Random, parts: list[str]) -> str:
    """Write parts with the case, the marks and the white space of a person."""
    marks, space = draw.choice((". ", ": ", "\n", " - ")), draw.choice((" ", " ", "  "))
    parts = [part.capitalize() if draw.random() < 0.8 else part for part in parts]
    return marks.join(parts).replace(" ", space)
