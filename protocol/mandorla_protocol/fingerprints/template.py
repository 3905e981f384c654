"""Templates (SPEC A.8): the fixed words of prompts that many accounts send with varying payloads.

A lab mines them: runs of six words that many accounts have in common. What is rare, such as a payload, never
becomes an indicator. This is the definition, in memory; a log that is too large for it is counted elsewhere,
with the same parts: values in order, accounts by value, accounts by neighbours, groups.
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
"""Accounts in whose prompts a run of words must stand before it is a template's."""

FEWEST_ACCOUNTS: Final = 2
"""The least that a lab may set that number to."""

RUN: Final = 6
MIN_DIFFERENT_WORDS: Final = 4
"""Different words of a run: rows of numbers and repetitions are nobody's template."""

MIN_VALUES: Final = 2
"""Values of a group: a smaller one could never match."""

MAX_VALUES: Final = 64
"""Values of a group: the smallest, so that two labs keep the same ones of a template that they share."""

VALUE_BYTES: Final = 16

_RUN: Final = Writer("mandorla/v1 prompt run").finish()


def template_values(prompt: str) -> frozenset[str]:
    """Return the values of all runs of six words of a prompt (SPEC A.8).

    They are indicators of type `prompt-template` if enough accounts have them.
    """
    return frozenset(ordered_values(prompt))


def ordered_values(prompt: str) -> tuple[str, ...]:
    """Return the different values of a prompt's runs, in the order in which they first stand in it."""
    found = words(normalise(prompt))
    runs = (found[start : start + RUN] for start in range(len(found) - RUN + 1))
    return tuple(
        dict.fromkeys(run_value(" ".join(run)) for run in runs if len(set(run)) >= MIN_DIFFERENT_WORDS)
    )


def run_value(run: str) -> str:
    """Return the value of six words with spaces between them (SPEC A.8)."""
    encoded = run.encode()
    return hashlib.blake2b(
        _RUN + len(encoded).to_bytes(4, "big") + encoded, digest_size=VALUE_BYTES
    ).hexdigest()


def mine(
    prompts: Iterable[tuple[str, str]],
    min_accounts: int = MIN_ACCOUNTS,
    common: Collection[str] = frozenset(),
) -> dict[str, frozenset[str]]:
    """Return the templates in (account, prompt) pairs, as groups of values by an id (SPEC A.8).

    A group holds values that at least `min_accounts` accounts have and that are not common. The result does
    not depend on the order of the prompts. Raises InputError(BAD_INPUT) on fewer accounts than two: what one
    account alone says may be a person's own words.
    """
    if min_accounts < FEWEST_ACCOUNTS:
        raise InputError(Code.BAD_INPUT, f"A template needs {FEWEST_ACCOUNTS} accounts or more.")
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
    """Return the neighbours among those values of a prompt that are kept, each pair sorted."""
    for one, other in pairwise(value for value in values if value in kept):
        yield (one, other) if one < other else (other, one)


def group(
    accounts: Mapping[str, int], accounts_of_pairs: Mapping[tuple[str, str], int]
) -> dict[str, frozenset[str]]:
    """Return the groups of values, by their ids (SPEC A.8).

    Neighbours are of one group if more than half of the accounts that have either one have them side by side.
    So a phrase that several templates share does not join them.
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
