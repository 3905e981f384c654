"""Attackers: the resources they reuse, what they learn, and when they stop."""

from __future__ import annotations

import pytest

from mandorla_simulations.attackers import Attacker
from mandorla_simulations.kinds import COLUMN, KINDS, Ending, ResourceKind
from mandorla_simulations.measures import measure
from mandorla_simulations.population import make_population
from mandorla_simulations.resources import ResourceBook, kind_of
from mandorla_simulations.study_options import Attack
from tests.support.scenarios import run, scenario

PAYMENT = COLUMN[ResourceKind.PAYMENT]
ADAPTIVE = {"insight": 1.0, "delay": "1h", "split_after": 1, "thin_after": 1_000}


def attacker(**changes: object) -> Attacker:
    """Return the attacker of campaign-a of `small`."""
    one = scenario(**changes)
    population = make_population(one, 7)
    book = ResourceBook(population.counts, (20,), (10,))
    return Attacker(one.campaigns[0], one, population, book, 7)


def cards(one: Attacker, lab: int, accounts: int) -> set[object]:
    return {one.equip(lab)[PAYMENT] for _ in range(accounts)}


def at_both(one: Attacker) -> tuple[set[object], set[object]]:
    """Open a dozen accounts at each of two labs, by turns; return the cards shown at each."""
    shown = [(one.equip(0)[PAYMENT], one.equip(1)[PAYMENT]) for _ in range(12)]
    return {first for first, _ in shown}, {second for _, second in shown}


@pytest.mark.parametrize("policy", ["round-robin", "fail-over", "hydra"])
def test_an_attacker_that_learns_that_labs_share_uses_different_cards_at_each(policy: str) -> None:
    one = attacker(campaigns__campaign_a__rotation__policy=policy, campaigns__campaign_a__adaptive=ADAPTIVE)
    before = at_both(one)
    shared = before[0] & before[1]
    assert shared
    card = min(card for card in shared if isinstance(card, int))
    one.learn(0, 0, card)
    one.learn(1, 1, card)
    after = at_both(one)
    assert not after[0] & after[1]
    assert not (after[0] | after[1]) & (before[0] | before[1])


def test_an_attacker_that_moves_reuses_its_cards() -> None:
    one = attacker()
    assert cards(one, 0, 30) == cards(one, 1, 30)
    assert len(cards(attacker(), 0, 30)) == 5


def test_an_attacker_buys_a_domain_when_every_public_one_is_blamed() -> None:
    changes = {
        "campaigns__campaign_a__resources__mail_domain__public": 1.0,
        "campaigns__campaign_a__adaptive": ADAPTIVE,
    }
    one = attacker(**changes)
    column = COLUMN[ResourceKind.MAIL_DOMAIN]
    for number, domain in enumerate(one.public[ResourceKind.MAIL_DOMAIN]):
        one.learn(number, 0, domain)
    assert one.equip(0)[column] not in one.public[ResourceKind.MAIL_DOMAIN]


def test_a_campaign_that_is_over_has_no_accounts() -> None:
    record = run(scenario(campaigns__campaign_a__end="1d", days=3))
    mine = [a for a, campaign in enumerate(record.accounts.campaign) if campaign == 0]
    assert all(record.accounts.ended[a] <= 86_400 for a in mine)
    assert {record.accounts.ending[a] for a in mine} >= {Ending.FINISHED}
    late = [a for a in mine if record.accounts.ending[a] not in {Ending.FINISHED, Ending.REFUSED}]
    assert all(record.accounts.ended[a] < 86_400 for a in late)


def test_a_refused_account_never_lived() -> None:
    one = scenario()
    record = run(one, "plaintext", attack=Attack.CONFIGURED)
    refused = record.accounts.ending.count(Ending.REFUSED)
    assert refused > 5
    found = measure(one, record)
    alive_sometime = sum(
        record.accounts.ended[a] > record.accounts.opened[a] for a in range(len(record.accounts))
    )
    assert found.accounts[:, :, 0].sum() <= alive_sometime <= len(record.accounts) - refused


def test_a_flag_that_expires_before_the_lab_acts_blocks_nobody() -> None:
    record = run(scenario(flags__payment="1h", policy__act="3h"), "plaintext")
    late = [block for block in record.blocks if block.ending is Ending.PEER]
    assert [block for block in late if kind_of(block.resource) is ResourceKind.PAYMENT] == []


def test_columns_are_in_the_order_of_kinds() -> None:
    assert [COLUMN[kind] for kind in KINDS] == list(range(len(KINDS)))
