"""Stages over prompts: fingerprints of each distinct prompt, and the templates behind many prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from mandorla_protocol.fingerprints.template import MIN_ACCOUNTS, group, neighbours, ordered_values
from mandorla_protocol.indicators import REGISTRY

from .parts import GROUPS, OUT, SortedRuns, Spread, read_frames, read_part, write_frame
from .plan import PROMPT_TYPES, TEMPLATE, Plan

_ROWS = 100_000
_RUNS = {"value": pl.String, "account": pl.String}
_MEMBERS = {"value": pl.String, "group": pl.String}
_PAIRS = {"one": pl.String, "other": pl.String, "account": pl.String}


def fingerprint_prompts(plan: Plan, part: int) -> int:
    """Write the fingerprints of the prompts of a part, and spread their runs of words.

    Returns the number of prompts.
    """
    types = {name: values for name, values in PROMPT_TYPES.items() if name in plan.types}
    prompts = 0
    writer = f"prompts-{part:04}"
    with (
        Spread(plan.work, "runs", plan.parts, "value", writer) as spread,
        SortedRuns(plan.work, "out", writer, OUT) as out,
        SortedRuns(plan.work, "groups", writer, GROUPS) as groups,
    ):
        runs: list[tuple[str, str]] = []
        for prompt, accounts in _prompts(plan, part):
            prompts += 1
            name = plan.group("prompt", prompt)
            found = {kind: tuple(values(prompt)) for kind, values in types.items()}
            # A group with fewer values than it needs could never match.
            kept = {kind: values for kind, values in found.items() if len(values) >= REGISTRY[kind].needed}
            out.add((kind, value, name) for kind, values in kept.items() for value in values)
            if kept and plan.naming:
                groups.add((name, account) for account in accounts)
            if TEMPLATE in plan.types:
                runs += [(value, account) for value in ordered_values(prompt) for account in accounts]
            if len(runs) >= _ROWS:
                spread.add(pl.DataFrame(runs, _RUNS, orient="row"))
                runs = []
        spread.add(pl.DataFrame(runs, _RUNS, orient="row"))
    return prompts


def count_runs(plan: Plan, part: int) -> int:
    """Write the runs of a part that enough accounts share, and how many do; return the number of runs."""
    frame = read_part(plan.work, "runs", part)
    if frame is None:
        return 0
    counts = frame.group_by("value").agg(pl.col("account").n_unique().cast(pl.Int64))
    counts = counts.filter(pl.col("account") >= MIN_ACCOUNTS)
    write_frame(plan.work, "kept", f"{part:04}", counts)
    return counts.height


def pair_runs(plan: Plan, part: int) -> int:
    """Spread the pairs of neighbouring kept runs in the prompts of a part, with their accounts."""
    kept = {value for value, _ in _rows(plan, "kept")}
    prompts = 0
    with Spread(plan.work, "pairs", plan.parts, "one", f"{part:06}") as spread:
        pairs: set[tuple[str, str, str]] = set()
        for prompt, accounts in _prompts(plan, part):
            prompts += 1
            near = set(neighbours(ordered_values(prompt), kept))
            pairs.update((one, other, account) for one, other in near for account in accounts)
            if len(pairs) >= _ROWS:
                spread.add(pl.DataFrame(sorted(pairs), _PAIRS, orient="row"))
                pairs = set()
        spread.add(pl.DataFrame(sorted(pairs), _PAIRS, orient="row"))
    return prompts


def count_pairs(plan: Plan, part: int) -> int:
    """Write the number of accounts with each pair of a part."""
    frame = read_part(plan.work, "pairs", part)
    if frame is None:
        return 0
    counts = frame.group_by("one", "other").agg(pl.col("account").n_unique().cast(pl.Int64))
    write_frame(plan.work, "paired", f"{part:04}", counts)
    return counts.height


def group_templates(plan: Plan) -> int:
    """Write the templates of all parts; return their number. Memory holds only runs of templates."""
    accounts = dict(_rows(plan, "kept"))
    pairs = {(one, other): count for one, other, count in _rows(plan, "paired")}
    templates = group(accounts, pairs)
    members = [(value, name) for name, values in templates.items() for value in values]
    with SortedRuns(plan.work, "out", "templates", OUT) as out:
        out.add((TEMPLATE, value, name) for value, name in members)
    write_frame(plan.work, "members", "templates", pl.DataFrame(members, _MEMBERS, orient="row"))
    return len(templates)


def name_templates(plan: Plan, part: int) -> int:
    """Write the accounts behind the templates that have runs in a part."""
    frame = read_part(plan.work, "runs", part)
    if frame is None:
        return 0
    (members,) = read_frames(plan.work, "members")
    rows = frame.join(members, on="value").select("group", "account").unique()
    with SortedRuns(plan.work, "groups", f"templates-{part:04}", GROUPS) as groups:
        groups.add(rows.iter_rows())
    return rows.height


def _prompts(plan: Plan, part: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each prompt of a part with its accounts, both sorted."""
    frame = read_part(plan.work, "prompts", part)
    if frame is not None:
        rows = frame.unique().sort("prompt", "account")
        yield from rows.group_by("prompt", maintain_order=True).agg("account").iter_rows()


def _rows(plan: Plan, kind: str) -> Iterator[tuple[Any, ...]]:
    """Yield the counts of a kind from all parts."""
    for frame in read_frames(plan.work, kind):
        yield from frame.iter_rows()
