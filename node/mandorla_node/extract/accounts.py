"""Stages over accounts: shared payment instruments, and fingerprints of behaviour and request sequence."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mandorla_protocol.fingerprints.behaviour import MIN_REQUESTS, SAMPLE, Activity, behaviour_values
from mandorla_protocol.fingerprints.sequence import GRAM, sequence_values
from mandorla_protocol.fingerprints.steps import GAP_LIMITS, STEP_SIZE
from mandorla_protocol.indicators import REGISTRY

from .parts import GROUPS, OUT, SortedRuns, Spread, read_part
from .plan import BEHAVIOUR, SEQUENCE, Plan


def count_sharing(plan: Plan, part: int) -> int:
    """Spread, by account, the number of accounts that share its payment instruments."""
    frame = read_part(plan.work, "payments", part)
    if frame is None:
        return 0
    counts = frame.unique().with_columns(pl.len().over("payment").cast(pl.Int64).alias("sharing"))
    with Spread(plan.work, "sharing", plan.parts, "account", f"{part:06}") as spread:
        spread.add(counts.select("account", "sharing"))
    return frame.height


def fingerprint_accounts(plan: Plan, part: int) -> int:
    """Write the fingerprints of the accounts of a part; return the number of its requests."""
    frame = read_part(plan.work, "requests", part)
    if frame is None:
        return 0
    frame = in_order(frame)
    shared = read_part(plan.work, "sharing", part)
    sharing: dict[str, int] = {}
    if shared is not None:
        sharing = dict(shared.group_by("account").agg(pl.col("sharing").max()).iter_rows())
    with (
        SortedRuns(plan.work, "out", f"accounts-{part:04}", OUT) as out,
        SortedRuns(plan.work, "groups", f"accounts-{part:04}", GROUPS) as groups,
    ):
        for account, start, stop, steps in _accounts(frame):
            values = {}
            if SEQUENCE in plan.types and stop - start >= GRAM:
                values[SEQUENCE] = sequence_values(steps)
            if BEHAVIOUR in plan.types and stop - start >= MIN_REQUESTS:
                rows = frame.slice(start, stop - start)
                prompts = rows["prompt"].drop_nulls().head(SAMPLE).to_list()
                activity = Activity(rows["time"].to_list(), prompts, sharing.get(account, 0))
                values[BEHAVIOUR] = behaviour_values(activity)
            group = plan.group("account", account)
            # A group with fewer values than a match needs could never match.
            kept = {name: found for name, found in values.items() if len(found) >= REGISTRY[name].needed}
            out.add((name, value, group) for name, found in kept.items() for value in found)
            if kept and plan.naming:
                groups.add([(group, account)])
    return frame.height


def in_order(requests: pl.DataFrame) -> pl.DataFrame:
    """Return requests in the order of SPEC A.9, with their whole steps as numbers, gap included."""
    gap = pl.col("time").diff().over("account")
    # The same as `steps.gap_class`, for a whole column; a test compares the two.
    reached = sum(((gap >= limit).cast(pl.UInt64) for limit in GAP_LIMITS), pl.lit(1, pl.UInt64))
    return requests.sort("account", "time", "step", "prompt", nulls_last=True).with_columns(
        (pl.col("step") * 256 + reached.fill_null(0)).alias("step")
    )


def _accounts(frame: pl.DataFrame) -> Iterator[tuple[str, int, int, bytes]]:
    """Yield each account of ordered requests: its name, first row, row after the last, and steps."""
    runs = frame["account"].rle().struct
    steps = b"".join(step.to_bytes(STEP_SIZE, "big") for step in frame["step"].to_list())
    start = 0
    for account, length in zip(runs.field("value").to_list(), runs.field("len").to_list(), strict=True):
        stop = start + length
        yield account, start, stop, steps[start * STEP_SIZE : stop * STEP_SIZE]
        start = stop
