"""The measures of a run: exchanges, survival, blocks, harm and load, all computed from its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .kinds import BLOCKS, KINDS, Ending, ResourceKind
from .resources import NEVER, Resource, column_of, kind_of
from .run_record import RunRecord
from .scenario.model import Scenario
from .scenario.units import DAY, HOUR
from .sharing.channel import Load

Numbers = NDArray[np.int64]

SURVIVAL_HOURS: Final = (1, 6, 12, 24, 48, 96, 168, 336, 504, 720, 1080)
"""The ages for which survival is computed."""

SPREAD_HOURS: Final = (1, 6, 24, 72, 168)
"""The delays after a first flag for which the share of labs that have acted is computed."""


@dataclass(frozen=True)
class Measures:
    """The measures of one run. Arrays over campaigns, labs and days are indexed in that order."""

    exchanges: Numbers
    """[campaign, lab, day]: useful exchanges in each day."""

    accounts: Numbers
    """[campaign, lab, day]: accounts alive at some time of each day."""

    opened: Numbers
    """[campaign]: accounts opened, including those that a lab refused."""

    endings: dict[str, int]
    after_first_flag: Numbers
    """[campaign]: exchanges after the first flag, at any lab, on a resource that the campaign used."""

    first_flag: list[int | None]
    """[campaign]: the time of that flag, in seconds."""

    survival: list[float]
    """The share of accounts that are alive at each of SURVIVAL_HOURS (Kaplan and Meier)."""

    median_survival: float | None
    """The age in hours at which half of the accounts are lost; None if more than half live longer."""

    spread: list[float]
    """The share of pairs in which the lab has acted within each of SPREAD_HOURS.

    A pair is a flagged resource and another lab that meets it.
    """

    spread_pairs: int
    spent: list[int]
    """[campaign]: cents."""

    benign_blocked: int
    benign_by_cause: dict[str, int]
    benign_visits: int
    """Pairs of an honest user and a lab that the user uses."""

    flags: dict[str, int]
    matches: dict[str, int]
    false_flags: int
    """Flags on resources that no attacker had used before."""

    load: Load


def count_exchanges(record: RunRecord, until: Numbers | int | None = None) -> Numbers:
    """Count the exchanges of each account, up to a time in seconds if one is given."""
    accounts = record.accounts
    opened, ended = accounts.column("opened"), accounts.column("ended")
    end = ended if until is None else np.clip(until, opened, ended)
    return ((end - opened) * accounts.column("rate") + accounts.column("phase")) // DAY


def measure(scenario: Scenario, record: RunRecord) -> Measures:
    """Compute the measures of a run."""
    accounts, shape = record.accounts, (len(scenario.campaigns), len(scenario.labs))
    campaign, lab = accounts.column("campaign"), accounts.column("lab")
    first = _first_flags(scenario, record)
    starts = np.array([NEVER if at is None else at for at in first], dtype=np.int64)[campaign]
    total = count_exchanges(record)
    after = np.where(starts < NEVER, total - count_exchanges(record, starts), 0)
    spread, pairs = _spread(record)
    survival, median = _survival(record)
    causes = Counter(
        Ending(int(value)).name.lower() for value in record.benign_ending[record.benign_blocked < NEVER]
    )
    return Measures(
        exchanges=_by_day(record, campaign, lab, shape, scenario.days),
        accounts=_alive_by_day(record, campaign, lab, shape, scenario.days),
        opened=np.bincount(campaign, minlength=shape[0]),
        endings={ending.name.lower(): accounts.ending.count(ending) for ending in Ending},
        after_first_flag=np.array([int(after[campaign == number].sum()) for number in range(shape[0])]),
        first_flag=first,
        survival=survival,
        median_survival=median,
        spread=spread,
        spread_pairs=pairs,
        spent=record.spent,
        benign_blocked=record.benign_total,
        benign_by_cause=dict(sorted(causes.items())),
        benign_visits=int(record.benign_visits),
        flags=_by_kind(flag.resource for flag in record.flags),
        matches=_by_kind(delivery.match.resource for delivery in record.matches),
        false_flags=sum(not flag.true for flag in record.flags),
        load=record.load,
    )


def _by_kind(resources: Iterable[Resource]) -> dict[str, int]:
    counted = Counter(kind_of(resource) for resource in resources)
    return {kind.value: counted.get(kind, 0) for kind in ResourceKind}


def _by_day(record: RunRecord, campaign: Numbers, lab: Numbers, shape: tuple[int, int], days: int) -> Numbers:
    place = campaign * shape[1] + lab
    series = np.zeros((shape[0] * shape[1], days), dtype=np.int64)
    before = np.zeros(len(campaign), dtype=np.int64)
    for day in range(days):
        upto = count_exchanges(record, (day + 1) * DAY)
        # Whole numbers below 2**53: the sums of bincount's doubles are exact.
        series[:, day] = np.bincount(place, weights=upto - before, minlength=len(series)).astype(np.int64)
        before = upto
    return series.reshape(*shape, days)


def _alive_by_day(
    record: RunRecord, campaign: Numbers, lab: Numbers, shape: tuple[int, int], days: int
) -> Numbers:
    accounts = record.accounts
    opened, ended = accounts.column("opened"), accounts.column("ended")
    refused = accounts.column("ending") == Ending.REFUSED
    place = campaign * shape[1] + lab
    series = np.zeros((shape[0] * shape[1], days), dtype=np.int64)
    for day in range(days):
        alive = (opened < (day + 1) * DAY) & (ended > day * DAY) & ~refused
        series[:, day] = np.bincount(place[alive], minlength=len(series))
    return series.reshape(*shape, days)


def _first_flags(scenario: Scenario, record: RunRecord) -> list[int | None]:
    """Return, for each campaign, the time of the first flag on a resource that it used."""
    users: dict[Resource, set[int]] = {flag.resource: set() for flag in record.flags}
    for number, equipment in zip(record.accounts.campaign, record.accounts.equipment, strict=True):
        for resource in equipment:
            if resource in users:
                users[resource].add(number)
    first: list[int | None] = [None] * len(scenario.campaigns)
    for flag in record.flags:
        for number in users[flag.resource]:
            earlier = first[number]
            first[number] = flag.at if earlier is None else min(earlier, flag.at)
    return first


def _survival(record: RunRecord) -> tuple[list[float], float | None]:
    """Estimate survival (Kaplan and Meier); accounts that moved or outlast their campaign are censored."""
    accounts = record.accounts
    ages = accounts.column("ended") - accounts.column("opened")
    lost = np.isin(accounts.column("ending"), BLOCKS)
    order = np.argsort(ages, kind="stable")
    ages, lost = ages[order], lost[order]
    times, where = np.unique(ages, return_index=True)
    deaths = np.add.reduceat(lost.astype(np.int64), where) if len(ages) else np.zeros(0, np.int64)
    at_risk = len(ages) - where
    alive, steps = 1.0, []
    for risk, dead in zip(at_risk.tolist(), deaths.tolist(), strict=True):
        alive *= 1 - dead / risk
        steps.append(alive)
    curve = []
    for hours in SURVIVAL_HOURS:
        place = int(np.searchsorted(times, hours * HOUR, side="right"))
        curve.append(steps[place - 1] if place else 1.0)
    median = next((int(age) / HOUR for age, alive in zip(times, steps, strict=True) if alive <= 0.5), None)
    return curve, median


def _spread(record: RunRecord) -> tuple[list[float], int]:
    """Compute how fast other labs act after the first flag on a resource.

    A lab meets a resource if an account that shows it is alive there after the first flag. The delay is the
    time from that flag to the first end of such an account by the lab.
    """
    first: dict[Resource, tuple[int, int]] = {}
    for flag in record.flags:
        if flag.true and KINDS[column_of(flag.resource)] in {
            ResourceKind.PAYMENT,
            ResourceKind.TEMPLATE,
            ResourceKind.SEQUENCE,
        }:
            earlier = first.get(flag.resource)
            if earlier is None or flag.at < earlier[0]:
                first[flag.resource] = (flag.at, flag.lab)
    met: dict[tuple[Resource, int], int] = {}
    accounts = record.accounts
    for number, equipment in enumerate(accounts.equipment):
        for resource in equipment:
            if resource is None or resource not in first:
                continue
            at, lab = first[resource]
            where = accounts.lab[number]
            if where != lab and accounts.ended[number] >= at:
                ended = accounts.ended[number] if accounts.ending[number] in BLOCKS else NEVER
                key = (resource, where)
                met[key] = min(met.get(key, NEVER), max(0, ended - at) if ended < NEVER else NEVER)
    delays = np.array(list(met.values()), dtype=np.int64)
    if not len(delays):
        return [0.0] * len(SPREAD_HOURS), 0
    return [float(np.count_nonzero(delays <= hours * HOUR) / len(delays)) for hours in SPREAD_HOURS], len(
        delays
    )
