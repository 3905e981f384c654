"""Fidelity `nodes`: three real nodes find what set logic finds, to the second."""

from __future__ import annotations

import pytest

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.indicators import REGISTRY, Indicator
from mandorla_simulations.kinds import KINDS
from mandorla_simulations.nodes.indicators import ASKED_IN, COLLECTIONS, indicator_of
from mandorla_simulations.nodes.run import simulate_with_nodes
from mandorla_simulations.resources import resource_of
from mandorla_simulations.study import Cell, simulate
from mandorla_simulations.study_options import Attack
from tests.support.scenarios import scenario, sharing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "changes"),
    [
        ("mandorla-batch/6h", {}),
        # A round ends and the next one begins after a day; and questions wait for what a small budget allows.
        ("mandorla-watch", {"protocol__micro_batch": "3h", "protocol__budget": 2_000}),
    ],
)
def test_real_nodes_and_set_logic_agree(scheme: str, changes: dict[str, object]) -> None:
    # Flags on payment lapse between rounds, and are set anew.
    small = scenario(days=2, flags__payment="8h", benign__people=200, **changes)
    cell = Cell(Attack.CONFIGURED, sharing(scheme))
    expected = simulate(small, cell, 7, ASKED_IN)
    found = simulate_with_nodes(small, cell, 7)
    assert found.accounts == expected.accounts
    assert found.flags == expected.flags
    assert found.matches == expected.matches
    assert found.blocks == expected.blocks
    assert (found.benign_blocked == expected.benign_blocked).all()
    assert len(found.matches) > 20
    # A standing round that a busy machine breaks is begun again, and asks for 256 more in each direction.
    again = (found.load.rounds - expected.load.rounds) / 2
    assert again in (range(6) if scheme == "mandorla-watch" else (0,))
    assert found.load.evaluations == sum(found.load.by_collection.values())
    assert found.load.evaluations == expected.load.evaluations + again * 512
    for collection in COLLECTIONS:
        more = found.load.by_collection[collection] - expected.load.by_collection[collection]
        assert more % 512 == 0
    assert found.load.bytes == pytest.approx(expected.load.bytes, rel=0.1)


def test_resources_are_written_as_distinct_canonical_indicators() -> None:
    resources = [resource_of(column, serial) for column in range(len(KINDS)) for serial in (0, 1, 77_777)]
    indicators = [indicator_of(resource) for resource in resources]
    assert len(set(indicators)) == len(resources)
    for kind, value in indicators:
        assert Indicator.parse(kind, value).value == value
        assert REGISTRY[kind].collection in COLLECTIONS


@pytest.mark.parametrize(
    ("scheme", "changes"),
    [
        ("plaintext", {}),
        ("mandorla-watch", {"protocol__micro_batch": "7d"}),
        ("mandorla-batch/6h", {"benign__people": 30_000}),
    ],
)
def test_a_study_that_nodes_cannot_run_is_refused(scheme: str, changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        simulate_with_nodes(scenario(**changes), Cell(Attack.CONFIGURED, sharing(scheme)), 7)
    assert caught.value.code is Code.BAD_INPUT
