"""The presets show what they are for."""

from __future__ import annotations

from functools import cache

import pytest

from mandorla_simulations.measures import Measures
from mandorla_simulations.scenario.loader import load
from mandorla_simulations.study import Cell, Run, measure_run
from mandorla_simulations.study_options import Attack
from tests.support.scenarios import sharing

pytestmark = pytest.mark.slow


@cache
def measured(name: str, scheme: str, attack: Attack = Attack.CONFIGURED) -> Measures:
    scenario = load(name).scenario
    return measure_run(Run(scenario, Cell(attack, sharing(scheme)), scenario.seed))


@pytest.mark.parametrize("name", ["rotation-2026-02", "pool-swap", "hydra"])
def test_without_sharing_the_reported_volumes_come_out_within_a_tenth(name: str) -> None:
    alone = measured(name, "none")
    scenario = load(name).scenario
    places = {campaign.name: place for place, campaign in enumerate(scenario.campaigns)}
    for target in scenario.targets:
        simulated = int(alone.exchanges[places[target.campaign]].sum())
        assert simulated == pytest.approx(target.exchanges, rel=0.1)


def test_february_has_as_many_accounts_as_are_reported() -> None:
    assert measured("rotation-2026-02", "none").opened.sum() == pytest.approx(24_000, rel=0.1)


def test_rotation_pays_without_sharing_and_not_with_it() -> None:
    rotating = measured("rotation-2026-02", "none").exchanges.sum()
    staying = measured("rotation-2026-02", "none", Attack.STAY).exchanges.sum()
    watched = measured("rotation-2026-02", "mandorla-watch").exchanges.sum()
    assert rotating > 1.1 * staying
    assert watched < staying


def test_sharing_does_nothing_against_an_attacker_that_nobody_notices() -> None:
    alone, shared = measured("low-and-slow", "none"), measured("low-and-slow", "plaintext")
    assert shared.exchanges.sum() > 0.97 * alone.exchanges.sum()
