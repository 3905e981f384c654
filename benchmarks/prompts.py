"""Fingerprints of prompts, on real prompts of several platforms and on generated templates."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import TypeAlias

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from benchmarks.rows import CLASSES, Row
from benchmarks.templates import Corpus, generate
from mandorla_protocol.fingerprints import (
    CommonValues,
    mine,
    minhash_pairs_values,
    minhash_values,
    minhash_wide_values,
    normalise,
    sentence_values,
    template_values,
)
from mandorla_protocol.indicators import REGISTRY

DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "prompts"
DISSIMILAR = 0.45
"""Pairs of a lower similarity should not match."""


def whole_prompt(prompt: str) -> tuple[str, ...]:
    """Hash the whole of a normalised prompt, which is what is easiest to share."""
    return (hashlib.sha256(normalise(prompt).encode()).hexdigest(),)


PROFILES: Mapping[str, Callable[[str], tuple[str, ...] | frozenset[str]]] = {
    "whole prompt": whole_prompt,
    "prompt-minhash": minhash_values,
    "prompt-minhash-wide": minhash_wide_values,
    "prompt-minhash-wide, 1": minhash_wide_values,
    "prompt-minhash-wide, 3": minhash_wide_values,
    "prompt-minhash-pairs": minhash_pairs_values,
    "prompt-sentence": sentence_values,
    "prompt-template, unmined": template_values,
}


def needed_by(profile: str) -> int:
    """Return how many values of a group must match: what the registry says, or another number to compare."""
    name, _, other = profile.partition(", ")
    if other.isdigit():
        return int(other)
    return REGISTRY[name].needed if name in REGISTRY else 1


@dataclass(frozen=True)
class Real:
    """Real prompts; pairs of two platforms by the class of their similarity; and those that are not similar.

    `dissimilar` gives, for each prompt, those of other platforms.
    """

    prompts: list[str]
    similar: list[list[tuple[int, int]]]
    dissimilar: list[set[int]]


@cache
def real() -> Real:
    """Read the real prompts. All pairs are compared, so that nothing depends on a sample."""
    with (DATA / "jailbreakhub_2023_05.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(row) for row in file]
    places = {str(row["id"]): place for place, row in enumerate(rows)}
    similar: list[list[tuple[int, int]]] = [[] for _ in CLASSES]
    with (DATA / "jailbreakhub_pairs.csv").open(encoding="utf-8", newline="") as file:
        for pair in csv.DictReader(file):
            of_class = sum(float(pair["similarity"]) >= float(low) for low in CLASSES) - 1
            similar[of_class].append((places[pair["id_a"]], places[pair["id_b"]]))
    texts = [normalise(row["prompt"]) for row in rows]
    scores = cdist(texts, texts, scorer=Levenshtein.normalized_similarity, score_cutoff=DISSIMILAR)
    platforms = [row["platform"] for row in rows]
    dissimilar = [
        {other for other, score in enumerate(scored) if score < DISSIMILAR and platforms[other] != platform}
        for platform, scored in zip(platforms, scores, strict=True)
    ]
    return Real([row["prompt"] for row in rows], similar, dissimilar)


def real_row(profile: str) -> Row:
    """Measure a profile on the real prompts."""
    data, needed = real(), needed_by(profile)
    started = time.perf_counter()
    values = [set(PROFILES[profile](prompt)) for prompt in data.prompts]
    elapsed = time.perf_counter() - started
    having: dict[str, set[int]] = {}
    for place, found in enumerate(values):
        for value in found:
            having.setdefault(value, set()).add(place)
    false_pairs = sum(
        len(values[one] & values[other]) >= needed
        for one, others in enumerate(data.dissimilar)
        for other in others
    )
    false_prompts = sum(
        sum(not having[value].isdisjoint(others) for value in found) >= needed
        for found, others in zip(values, data.dissimilar, strict=True)
    )
    return Row(
        data=f"{len(values)} real prompts",
        profile=profile,
        needed=needed,
        values=sum(map(len, values)) / len(values),
        recall=tuple(
            sum(len(values[one] & values[other]) >= needed for one, other in pairs) / len(pairs)
            for pairs in data.similar
        ),
        false=false_pairs / sum(map(len, data.dissimilar)),
        in_a_set=false_prompts / len(values),
        microseconds=elapsed / len(values) * 1e6,
    )


def real_rows() -> Iterator[Row]:
    """Measure every profile on the real prompts."""
    if not DATA.is_dir():
        print("The real prompts are not beside this checkout: skipped.")
        return
    yield from map(real_row, PROFILES)


# Templates

Groups: TypeAlias = list[tuple[frozenset[int], frozenset[str]]]
"""A lab's groups of values, each with the templates that it is of: one, or it joins what is not the same."""


def links(labs: list[Groups], needed: int) -> tuple[float, float]:
    """Return the share of templates that every two labs link, and of the pairs of templates the false ones.

    Two labs link the templates of two groups if these have enough values in common.
    """
    true: list[set[int]] = []
    false: set[tuple[int, int, int, int]] = set()
    templates = {template for lab in labs for owners, _ in lab for template in owners}
    for first, second in combinations(range(len(labs)), 2):
        having: dict[str, list[int]] = {}
        for place, (_, values) in enumerate(labs[second]):
            for value in values:
                having.setdefault(value, []).append(place)
        linked: set[tuple[int, int]] = set()
        for owners, values in labs[first]:
            shared = Counter(place for value in values for place in having.get(value, ()))
            for place, count in shared.items():
                if count >= needed:
                    linked |= set(product(owners, labs[second][place][0]))
        true.append({one for one, other in linked if one == other})
        false |= {(first, second, one, other) for one, other in linked if one != other}
    of_labs = len(labs) * (len(labs) - 1) // 2
    possible = of_labs * len(templates) * (len(templates) - 1)
    return len(set.intersection(*true)) / len(templates), len(false) / possible


def of_each_prompt(corpus: Corpus, profile: str) -> list[Groups]:
    """Fingerprint every prompt by itself."""
    return [
        [(frozenset([one.template]), frozenset(PROFILES[profile](one.prompt))) for one in lab]
        for lab in corpus.labs
    ]


def mined(corpus: Corpus, common: CommonValues) -> list[Groups]:
    """Mine each lab's prompts. A group is of all templates whose prompts have enough of its values."""
    needed, labs = needed_by("prompt-template"), []
    for lab in corpus.labs:
        groups = mine(((one.account, one.prompt) for one in lab), common=common.values)
        kept = frozenset[str]().union(*groups.values())
        having: dict[str, set[int]] = {}
        for one in lab:
            for value in template_values(one.prompt) & kept:
                having.setdefault(value, set()).add(one.template)
        labs.append([(_owners(having, group, needed), group) for group in groups.values()])
    return labs


def _owners(having: Mapping[str, set[int]], group: frozenset[str], needed: int) -> frozenset[int]:
    counts = Counter(template for value in group for template in having[value])
    return frozenset(template for template, count in counts.items() if count >= needed)


def learnt(corpus: Corpus) -> CommonValues:
    """Learn what benign prompts have in common, each of another account."""
    counts = Counter(value for prompt in corpus.benign for value in template_values(prompt))
    return CommonValues.learn(counts, len(corpus.benign))


def template_rows() -> Iterator[Row]:
    """Measure what links templates across labs."""
    corpus = generate()
    name = f"{corpus.templates} templates"
    for profile in (
        "whole prompt",
        "prompt-minhash",
        "prompt-minhash-wide",
        "prompt-minhash-pairs",
        "prompt-sentence",
    ):
        yield _template_row(name, profile, of_each_prompt(corpus, profile), needed_by(profile))
    for profile, common in (("template, all phrases", CommonValues()), ("prompt-template", learnt(corpus))):
        yield _template_row(name, profile, mined(corpus, common), needed_by("prompt-template"))


def _template_row(name: str, profile: str, labs: list[Groups], needed: int) -> Row:
    linked, false = links(labs, needed)
    groups = [values for lab in labs for _, values in lab]
    return Row(
        data=name,
        profile=profile,
        needed=needed,
        values=sum(map(len, groups)) / len(groups),
        linked=linked,
        false=false,
    )
