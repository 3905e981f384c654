"""Templates (SPEC A.8): the fixed words of prompts that many accounts send with different payloads.

A lab mines runs of six words that many accounts share. Rare runs, such as those of a payload, never become
indicators. `mine` is the definition, and works in memory. A program for larger logs counts with the same
parts: `ordered_values`, accounts by value, accounts by pair of `neighbours`, and `group`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Final

from ..encoding import Writer
from ..errors import Code, InputError
from .prompt_text import normalise, words

MIN_ACCOUNTS: Final = 10
"""The default for the fewest accounts whose prompts share a run of a template."""

FEWEST_ACCOUNTS: Final = 2
"""The smallest number that a lab may choose instead of `MIN_ACCOUNTS`."""

RUN: Final = 6
MIN_DIFFERENT_WORDS: Final = 4
"""The fewest different words of a run with a value: rows of numbers and repetitions are no template."""

MIN_VALUES: Final = 2
"""The fewest values of a group: a match needs two (registry, `needed`)."""

MAX_VALUES: Final = 64
"""The most values of a group: the smallest, so that two labs keep the same values of a shared template."""

VALUE_BYTES: Final = 16

_RUN: Final = Writer("mandorla/v1 prompt run").finish()


def template_values(prompt: str) -> frozenset[str]:
    """Return the values of a prompt's runs of six words (SPEC A.8).

    A value is an indicator of type `prompt-template` if enough accounts have it.
    """
    return frozenset(ordered_values(prompt))


def ordered_values(prompt: str) -> tuple[str, ...]:
    """Return the different values of a prompt's runs, in the order of their first places in the prompt."""
    found = words(normalise(prompt))
    runs = (found[start : start + RUN] for start in range(len(found) - RUN + 1))
    return tuple(
        dict.fromkeys(run_value(" ".join(run)) for run in runs if len(set(run)) >= MIN_DIFFERENT_WORDS)
    )


def run_value(run: str) -> str:
    """Return the value of six words with spaces between them, 32 hexadecimal digits (SPEC A.8)."""
    encoded = run.encode()
    return hashlib.blake2b(
        _RUN + len(encoded).to_bytes(4, "big") + encoded, digest_size=VALUE_BYTES
    ).hexdigest()


def mine(
    prompts: Iterable[tuple[str, str]],
    min_accounts: int = MIN_ACCOUNTS,
    common: Collection[str] = frozenset(),
) -> dict[str, frozenset[str]]:
    """Return the templates in (account, prompt) pairs: groups of values, by an id (SPEC A.8).

    A group has values that at least `min_accounts` accounts share and that are not in `common`. The order of
    the pairs does not matter.

    Raises InputError: BAD_INPUT if `min_accounts` is below `FEWEST_ACCOUNTS`. One account's runs may be a
    person's own words.
    """
    if min_accounts < FEWEST_ACCOUNTS:
        raise InputError(Code.BAD_INPUT, f"A template needs at least {FEWEST_ACCOUNTS} accounts.")
    by_account: dict[str, list[tuple[str, ...]]] = {}
    for account, prompt in prompts:
        by_account.setdefault(account, []).append(ordered_values(prompt))
    counts = Counter(value for rows in by_account.values() for value in set().union(*rows))
    accounts = {
        value: count for value, count in counts.items() if count >= min_accounts and value not in common
    }
    pairs = Counter(
        pair
        for rows in by_account.values()
        for pair in {pair for values in rows for pair in neighbours(values, accounts)}
    )
    return group(accounts, pairs)


def neighbours(values: Iterable[str], kept: Collection[str]) -> Iterable[tuple[str, str]]:
    """Yield each pair of neighbours, sorted, among a prompt's values that are in `kept`."""
    for one, other in pairwise(value for value in values if value in kept):
        yield (one, other) if one < other else (other, one)


def group(
    accounts: Mapping[str, int], accounts_of_pairs: Mapping[tuple[str, str], int]
) -> dict[str, frozenset[str]]:
    """Return the groups of values, by their ids (SPEC A.8).

    Two values belong to one group if more than half of the accounts of each value have them as neighbours. So
    a phrase that several templates share does not join these templates.
    """
    parents = {value: value for value in accounts}

    def root(value: str) -> str:
        while parents[value] != value:
            parents[value] = value = parents[parents[value]]
        return value

    for (one, other), both in accounts_of_pairs.items():
        if 2 * both > max(accounts[one], accounts[other]):
            first, last = sorted((root(one), root(other)))
            parents[last] = first
    members: dict[str, list[str]] = {}
    for value in sorted(accounts):
        members.setdefault(root(value), []).append(value)
    return {
        f"template-{smallest[:12]}": frozenset(values[:MAX_VALUES])
        for smallest, values in members.items()
        if len(values) >= MIN_VALUES
    }
