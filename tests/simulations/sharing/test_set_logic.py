"""Channels: who learns what, when, and at what cost."""

from __future__ import annotations

import pytest

from mandorla_simulations.run_record import RunRecord
from mandorla_simulations.scenario.model import Scenario, Scheme
from mandorla_simulations.sharing.costs import question_bytes, standing_seconds, table_bytes
from tests.support.scenarios import run, scenario

HOUR = 3_600


def delays(record: RunRecord) -> list[int]:
    """Return how long after the flag each match was told, or after the sighting if that came later."""
    flagged = {(flag.lab, flag.resource, flag.expires): flag.at for flag in record.flags}
    return [
        delivery.at - flagged[delivery.match.holder, delivery.match.resource, delivery.match.expires]
        for delivery in record.matches
    ]


def test_an_ideal_feed_tells_at_once_what_was_seen_before() -> None:
    record = run(scenario(), "plaintext")
    assert sum(delay == 0 for delay in delays(record)) > 10
    assert record.load.evaluations == 0


def test_a_watch_tells_of_what_was_asked_about_within_seconds() -> None:
    record = run(scenario(), "mandorla-watch")
    assert sum(delay == 2 for delay in delays(record)) > 10
    assert min(delays(record)) == 2


@pytest.mark.parametrize("hours", [1, 6, 24])
def test_batches_tell_only_after_a_round(hours: int) -> None:
    record = run(scenario(), f"mandorla-batch/{hours}h")
    assert record.matches
    assert all((delivery.at - 120) % (hours * HOUR) == 0 for delivery in record.matches)
    assert record.load.rounds == (4 * 24 // hours) * 6 * 4


def test_more_sharing_never_leaves_the_attacker_more_in_the_small_rotation() -> None:
    extracted = []
    for scheme in ("none", "mandorla-batch/1d", "mandorla-watch"):
        accounts = run(scenario(), scheme).accounts
        lived = accounts.column("ended") - accounts.column("opened")
        extracted.append(int((lived * accounts.column("rate")).sum()))
    assert extracted == sorted(extracted, reverse=True)


def test_a_lab_does_not_learn_what_the_budget_refuses() -> None:
    free = run(scenario(), "mandorla-batch/6h")
    # Each round asks for at least 256: this budget is spent after the first.
    tight = run(scenario(protocol__budget=2_000), "mandorla-batch/6h")
    none = run(scenario(protocol__budget=200), "mandorla-batch/6h")
    assert free.load.refused == 0 < tight.load.refused < none.load.refused
    assert len(free.matches) > len(tight.matches) > len(none.matches) == 0
    assert none.load.evaluations == 0
    assert tight.load.budget_spent <= 1


def test_a_new_key_epoch_brings_a_new_budget() -> None:
    shut = scenario(protocol__budget=2_000)
    renewed = scenario(protocol__budget=2_000, protocol__epoch="1d")
    assert len(run(renewed, "mandorla-batch/6h").matches) > len(run(shut, "mandorla-batch/6h").matches)


def test_a_watch_asks_no_faster_than_a_budget_lasts() -> None:
    # Nobody acts on matches, so that the same is flagged and seen.
    free = run(scenario(policy__peers={}), "mandorla-watch")
    # A tenth of it is there at once, and less than the first question takes; the rest comes in thirty days.
    tight = run(scenario(policy__peers={}, protocol__budget=2_500), "mandorla-watch")
    most = 6 * (2_500 * (1 / 10 + 4 / 30) + 363)
    asked = [one.load.by_collection["accounts"] - 6 * 4 * 256 for one in (tight, free)]
    assert tight.load.refused == 0
    assert asked[0] <= most < asked[1]
    soon = {delivery.match: delivery.at for delivery in free.matches}
    late = {delivery.match: delivery.at - soon[delivery.match] for delivery in tight.matches}
    assert min(late.values()) == 0
    assert max(late.values()) > 6 * HOUR
    # What was asked about before is announced all the same.
    assert min(delays(tight)) == 2


def test_a_watch_costs_what_its_rounds_ask_for_as_they_begin() -> None:
    quiet = {"benign__people": 0, "campaigns__campaign_a__pool": 1, "campaigns__campaign_b__pool": 1}
    load = run(scenario(**quiet), "mandorla-watch").load
    # Six halves, begun anew on each of four days; what is asked meanwhile is of the smallest class.
    for name in ("accounts", "prompts", "behaviour"):
        assert load.by_collection[name] - 6 * 4 * 256 in range(16, 256, 16)


def test_standing_rounds_end_between_micro_batches() -> None:
    assert standing_seconds(600) == 24 * HOUR
    assert standing_seconds(7 * 600) == 20 * 7 * 600
    assert standing_seconds(48 * HOUR) == 48 * HOUR


def test_costs_are_those_of_the_protocol() -> None:
    assert question_bytes(16_384) == 64 * 16_384 + 64
    assert question_bytes(16_385) == 64 * 16_385 + 128
    assert table_bytes(0) == 0
    assert table_bytes(1) == 256 * 300
    assert table_bytes(1, 16) == 16 * 300


def test_labs_act_on_a_match_as_their_policy_says() -> None:
    def endings(one: Scenario) -> dict[str, int]:
        record = run(one, Scheme.PLAINTEXT.value)
        return {ending.name: record.accounts.ending.count(ending) for ending in set(record.accounts.ending)}

    ignore = endings(scenario(policy__peers={}))
    assert "PEER" not in ignore
    assert endings(scenario(policy__peers={"payment": "one-peer"}))["PEER"] > 0
    reviewed = endings(scenario(policy__peers={"payment": "review"}, policy__own={}))
    assert reviewed["REVIEWED"] > 0
    assert "PEER" not in reviewed
