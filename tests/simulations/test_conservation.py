"""Laws that every run obeys, whatever the scenario: nothing is lost, counted twice, or known too early."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from mandorla_simulations.kinds import BLOCKS, Ending, ResourceKind
from mandorla_simulations.measures import count_exchanges, measure
from mandorla_simulations.population import make_population
from mandorla_simulations.resources import NEVER, column_of, kind_of
from mandorla_simulations.run_record import RunRecord
from mandorla_simulations.scenario.model import Scenario
from mandorla_simulations.study_options import Attack
from tests.support.scenarios import changed, run, tree

DAY = 86_400
SCHEMES = ("none", "plaintext", "mandorla-watch", "mandorla-batch/6h", "mandorla-batch/1d")
ACTIONS = ("ignore", "review", "two-labs", "one-peer")


@st.composite
def runs(draw: Callable[..., object]) -> tuple[Scenario, str, int, RunRecord]:
    """Draw a scenario near to `small`, a scheme and a seed, and run them."""
    tree_ = changed(
        tree(),
        {
            "days": draw(st.integers(1, 6)),
            "policy.silent": draw(st.booleans()),
            "policy.notice": draw(st.sampled_from(["0s", "6h"])),
            "policy.peers": {kind.value: draw(st.sampled_from(ACTIONS)) for kind in ResourceKind},
            "policy.own": draw(
                st.sampled_from([{}, {"payment": "block"}, {"payment": "review", "address": "block"}])
            ),
            "policy.act": draw(st.sampled_from(["0s", "1min", "3h"])),
            "flags.payment": draw(st.sampled_from(["1h", "2d", "14d"])),
            "signals.payment.rate": draw(st.sampled_from(["0/day", "0.1/day", "3/day"])),
            "signals.volume.false_positives": draw(st.sampled_from(["0/day", "0.01/day"])),
            "benign.people": draw(st.sampled_from([0, 1, 150])),
            "campaigns.campaign-a.pool": draw(st.integers(1, 25)),
            "campaigns.campaign-a.supply": draw(st.sampled_from(["0/day", "10/day", "200/day"])),
            "campaigns.campaign-a.budget": draw(st.sampled_from(["0 USD", "100 USD", "9000 USD"])),
            "campaigns.campaign-a.rotation.policy": draw(
                st.sampled_from(["stay", "round-robin", "fail-over", "hydra"])
            ),
            "campaigns.campaign-b.resources.payment.reuse": draw(st.sampled_from([0.0, 0.5, 1.0])),
            "adaptive": {"insight": 0.7, "delay": "3h", "split_after": 1, "thin_after": 2},
            "protocol.budget": draw(st.sampled_from([100, 3_000, 2_097_152])),
        },
    ) | {"priors": {}}
    scenario = Scenario.model_validate(tree_)
    scheme = draw(st.sampled_from(SCHEMES))
    seed = draw(st.integers(0, 99))
    attack = draw(st.sampled_from([Attack.CONFIGURED, Attack.ADAPTIVE]))
    assert isinstance(scheme, str)
    assert isinstance(seed, int)
    assert isinstance(attack, Attack)
    return scenario, scheme, seed, run(scenario, scheme, seed, attack)


laws = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@laws
@given(runs())
def test_exchanges_are_neither_lost_nor_counted_twice(drawn: tuple[Scenario, str, int, RunRecord]) -> None:
    scenario, _, _, record = drawn
    accounts, found = record.accounts, measure(scenario, record)
    one_by_one = [
        ((accounts.ended[a] - accounts.opened[a]) * accounts.rate[a] + accounts.phase[a]) // DAY
        for a in range(len(accounts))
    ]
    assert found.exchanges.sum() == sum(one_by_one)
    for campaign in range(len(scenario.campaigns)):
        for lab in range(len(scenario.labs)):
            here = [
                made
                for a, made in enumerate(one_by_one)
                if (accounts.campaign[a], accounts.lab[a]) == (campaign, lab)
            ]
            assert found.exchanges[campaign, lab].sum() == sum(here)
    assert (found.exchanges >= 0).all()
    assert sum(found.endings.values()) == len(accounts) == found.opened.sum()


@laws
@given(runs())
def test_no_account_makes_an_exchange_once_it_is_blocked(drawn: tuple[Scenario, str, int, RunRecord]) -> None:
    scenario, _, _, record = drawn
    accounts = record.accounts
    total, later = count_exchanges(record), count_exchanges(record, scenario.horizon)
    assert (total == later).all()
    for a, ending in enumerate(accounts.ending):
        assert accounts.opened[a] <= accounts.ended[a] <= scenario.horizon
        if ending is Ending.REFUSED:
            assert accounts.opened[a] == accounts.ended[a]
            assert total[a] == 0
    blocked = {(block.lab, block.resource): block.at for block in reversed(record.blocks)}
    for a, equipment in enumerate(accounts.equipment):
        for resource in equipment:
            at = blocked.get((accounts.lab[a], resource)) if resource is not None else None
            if at is not None and accounts.opened[a] <= at:
                assert accounts.ending[a] is not Ending.NONE


@laws
@given(runs())
def test_a_match_needs_both_labs_and_never_comes_before_the_flag(
    drawn: tuple[Scenario, str, int, RunRecord],
) -> None:
    scenario, scheme, seed, record = drawn
    if scheme == "none":
        assert not record.matches
        assert not [e for e in record.accounts.ending if e is Ending.PEER]
    population = make_population(scenario, seed)
    shown: dict[tuple[int, int], int] = {}
    for a, equipment in enumerate(record.accounts.equipment):
        for resource in equipment:
            if resource is not None:
                key = (record.accounts.lab[a], resource)
                shown[key] = min(shown.get(key, NEVER), record.accounts.opened[a])
    flagged = {(flag.lab, flag.resource, flag.expires): flag.at for flag in record.flags}
    for delivery in record.matches:
        querier, holder, resource, expires = delivery.match
        assert querier != holder
        assert flagged[holder, resource, expires] <= delivery.at < expires
        column, serial = column_of(resource), resource >> 3
        seen = shown.get((querier, resource), NEVER)
        if serial < population.counts[column]:
            seen = min(seen, int(population.first_seen[column][querier, serial]))
        if kind_of(resource) is not ResourceKind.ADDRESS and seen < NEVER:
            assert seen <= delivery.at


@laws
@given(runs())
def test_budgets_are_never_passed(drawn: tuple[Scenario, str, int, RunRecord]) -> None:
    scenario, _, _, record = drawn
    load = record.load
    assert 0 <= load.budget_spent <= 1
    assert load.evaluations == sum(load.by_collection.values())
    pairs = len(scenario.labs) * (len(scenario.labs) - 1) * 4
    assert load.evaluations <= pairs * scenario.protocol.budget
    assert all(spent >= 0 for spent in record.spent)


@laws
@given(runs())
def test_attackers_stay_within_supply_and_nearly_within_budget(
    drawn: tuple[Scenario, str, int, RunRecord],
) -> None:
    scenario, _, _, record = drawn
    accounts = record.accounts
    for number, campaign in enumerate(scenario.campaigns):
        opened = np.sort(accounts.column("opened")[accounts.column("campaign") == number])
        beyond = opened[campaign.pool :]
        allowed = (np.arange(len(beyond)) + 1) * DAY / max(campaign.supply, 1e-9)
        assert (beyond >= np.floor(allowed)).all()
        dearest = campaign.account_cost + sum(pool.cost for pool in campaign.resources.values())
        assert record.spent[number] <= campaign.budget + dearest


@laws
@given(runs())
def test_people_are_blocked_only_where_and_when_they_are(drawn: tuple[Scenario, str, int, RunRecord]) -> None:
    scenario, scheme, seed, record = drawn
    arrivals = make_population(scenario, seed).arrivals
    blocked = record.benign_blocked < NEVER
    assert (record.benign_blocked[blocked] >= arrivals[blocked]).all()
    assert (record.benign_blocked[blocked] < scenario.horizon).all()
    assert np.isin(record.benign_ending[blocked], BLOCKS).all()
    if scheme == "none":
        assert Ending.PEER not in record.benign_ending[blocked]


def test_sharing_nothing_equals_three_labs_that_run_alone() -> None:
    base = tree()
    campaigns = [
        {**base["campaigns"][0], "name": f"campaign-{name}", "labs": [f"lab-{name}"]} for name in "abc"
    ]
    for campaign in campaigns:
        campaign["rotation"] = {"policy": "stay"}
    together = run(Scenario.model_validate({**base, "campaigns": campaigns}))
    for number, name in enumerate("abc"):
        alone = run(
            Scenario.model_validate(
                {
                    **base,
                    "labs": [base["labs"][number]],
                    "campaigns": [campaigns[number]],
                    "benign": {**base["benign"], "memberships": [base["benign"]["memberships"][number]]},
                }
            )
        )
        here = [a for a in range(len(together.accounts)) if together.accounts.lab[a] == number]
        for column in ("opened", "ended", "ending", "rate", "phase"):
            assert [getattr(together.accounts, column)[a] for a in here] == getattr(alone.accounts, column)
        assert together.spent[number] == alone.spent[0]
        assert (together.benign_blocked[number] == alone.benign_blocked[0]).all()
        flags = [(flag.at, flag.expires, flag.true) for flag in together.flags if flag.lab == number]
        assert flags == [(flag.at, flag.expires, flag.true) for flag in alone.flags]
        assert len(flags) > 5, name


def test_until_something_is_shared_all_schemes_are_the_same_world() -> None:
    scenario = Scenario.model_validate(tree())
    alone = run(scenario)
    first = min(flag.at for flag in alone.flags)
    for scheme in SCHEMES[1:]:
        shared = run(scenario, scheme)
        before = [a for a in range(len(alone.accounts)) if alone.accounts.opened[a] <= first]
        assert before == [a for a in range(len(shared.accounts)) if shared.accounts.opened[a] <= first]
        assert [shared.accounts.equipment[a] for a in before] == [alone.accounts.equipment[a] for a in before]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_seed_gives_the_same_run(scheme: str) -> None:
    scenario = Scenario.model_validate(tree())
    one, other = run(scenario, scheme), run(scenario, scheme)
    assert one.accounts == other.accounts
    assert (one.flags, one.matches, one.blocks) == (other.flags, other.matches, other.blocks)
    assert run(scenario, scheme, seed=8).accounts != one.accounts
