"""Fidelity `nodes`: three real nodes find what set logic finds, to the second."""

from __future__ import annotations

import pytest

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.indicators import REGISTRY, Indicator
from mandorla_simulations.choices import Attack
from mandorla_simulations.kinds import KINDS
from mandorla_simulations.nodes.run import simulate_with_nodes
from mandorla_simulations.nodes.writing import COLLECTIONS, written
from mandorla_simulations.resources import resource_of
from mandorla_simulations.study import Cell
from tests.support.scenarios import run, scenario, sharing


def test_real_nodes_and_set_logic_agree() -> None:
    # Flags on payment lapse between rounds, and are set anew.
    small = scenario(days=2, flags__payment="8h", benign__people=200)
    cell = Cell(Attack.CONFIGURED, sharing("mandorla-batch/6h"))
    expected = run(small, "mandorla-batch/6h")
    found = simulate_with_nodes(small, cell, 7)
    assert found.accounts == expected.accounts
    assert found.flags == expected.flags
    assert found.matches == expected.matches
    assert found.blocks == expected.blocks
    assert (found.benign_blocked == expected.benign_blocked).all()
    assert len(found.matches) > 20
    # Kinds without a type of their own are written into two collections; what those take is as reckoned.
    for collection in COLLECTIONS:
        assert found.load.by_collection[collection] == expected.load.by_collection[collection]


def test_resources_are_written_as_distinct_canonical_indicators() -> None:
    resources = [resource_of(column, serial) for column in range(len(KINDS)) for serial in (0, 1, 77_777)]
    indicators = [written(resource) for resource in resources]
    assert len(set(indicators)) == len(resources)
    for kind, value in indicators:
        assert Indicator.parse(kind, value).value == value
        assert REGISTRY[kind].collection in COLLECTIONS


@pytest.mark.parametrize(
    ("scheme", "changes"), [("mandorla-watch", {}), ("mandorla-batch/6h", {"benign__people": 30_000})]
)
def test_what_nodes_cannot_do_is_refused(scheme: str, changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        simulate_with_nodes(scenario(**changes), Cell(Attack.CONFIGURED, sharing(scheme)), 7)
    assert caught.value.code is Code.BAD_INPUT
