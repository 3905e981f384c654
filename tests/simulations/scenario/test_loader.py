"""Scenarios from files: an error names its line and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mandorla_protocol.errors import Code, InputError
from mandorla_simulations.scenario.loader import load, parse
from mandorla_simulations.scenario.paths import UnknownParameter, lookup, matching, moved, parameters
from mandorla_simulations.scenario.presets import preset_names, preset_text

SMALL = preset_text("small")


def line_of(text: str, fragment: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if fragment in line)


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text, "mine", "mine.toml")
    assert caught.value.code is Code.BAD_CONFIG
    return caught.value.detail


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ('vigilance = 1.5', 'vigilence = 1.5', "vigilence is not a key: did you mean vigilance?"),
        ('act = "1min"', 'act = "1 minute"', "a duration is written as a whole number and a unit"),
        ('act = "1min"', "act = 60", 'such as "90s", "10min", "6h" or "14d"'),
        ('threshold = "250/day"', 'threshold = "250/hour"', "a rate is written per day, such as"),
        ('budget = "3000 USD"', 'budget = "3000 EUR"', "an amount is written with its currency, such as"),
        ("catches = 0.7", "catches = 7.0", "policy.review.catches should be less than or equal to 1."),
        ("days = 4", "days = 0", "days should be greater than or equal to 1."),
        ("people = 400", 'people = "many"', "benign.people should be a valid integer"),
        ('policy = "hydra"', 'policy = "wander"', "'stay', 'round-robin', 'fail-over' or 'hydra'"),
        ('payment = "block"', 'card = "block"', "'payment', 'mail_domain'"),
        ('"mandorla-watch"', '"mandorla-whatever"', "mandorla-watch, or mandorla-batch/PERIOD"),
        ('on = "volume"', 'on = "smell"', "'volume'"),
        (
            "memberships = [0.5, 0.4, 0.3]",
            "memberships = [0.5]",
            "benign.memberships: one share is needed for each lab, and there are 3",
        ),
        ('relay = "pathways"', 'relay = "roads"', "campaigns: relay of campaign-a is one of pathways"),
    ],
)  # fmt: skip
def test_an_error_names_its_line(written: str, instead: str, said: str) -> None:
    text = SMALL.replace(written, instead, 1)
    assert text != SMALL
    detail = refused(text)
    assert said in detail
    if "is one of pathways" not in said:
        assert f"mine.toml, line {line_of(text, instead)}: " in detail


def test_a_missing_key_is_named_with_the_line_of_its_table() -> None:
    text = SMALL.replace("catches = 0.7\n", "")
    assert f"line {line_of(text, '[policy.review]')}: policy.review.catches is missing." in refused(text)


def test_errors_are_listed_up_to_five() -> None:
    text = SMALL.replace("/day", "/week")
    detail = refused(text)
    assert len(detail.splitlines()) == 6
    assert "more" in detail.splitlines()[-1]


def test_a_prior_must_name_a_parameter_and_hold_its_value() -> None:
    text = SMALL + '"benign.pepole" = { low = 1, high = 2, why = "?" }\n'
    assert "benign.pepole names no parameter: there is no pepole; there is people" in refused(text)
    text = SMALL + '"benign.people" = { low = 1, high = 2, why = "?" }\n'
    assert "benign.people is 400, outside the assumed range: 1 to 2." in refused(text)


def test_a_file_that_is_missing_is_named_with_the_presets(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load("smal")
    assert caught.value.code is Code.BAD_FILE
    assert "There is no file smal. Did you mean small?" in caught.value.detail
    with pytest.raises(InputError) as caught:
        load(str(tmp_path / "nothing.toml"))
    assert "rotation-2026-02" in caught.value.detail


@pytest.mark.parametrize(
    ("content", "said"), [(b"days = = 4", "line 1, column 8"), (b"\xff\xfe", "not UTF-8")]
)
def test_a_file_that_is_not_toml_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(str(path))
    assert caught.value.code is Code.BAD_FILE
    assert said in caught.value.detail


def test_a_scenario_can_build_on_a_preset() -> None:
    loaded = parse('base = "small"\ntitle = "Mine"\n[policy]\nsilent = true\n', "mine", "mine.toml")
    small = load("small").scenario
    assert loaded.scenario.title == "Mine"
    assert loaded.scenario.policy == small.policy.model_copy(update={"silent": True})
    assert loaded.scenario.campaigns == small.campaigns
    assert "line 1: base is a preset" in refused('base = "nothing"\n')


@pytest.mark.parametrize("name", preset_names())
def test_presets_say_where_every_number_comes_from(name: str) -> None:
    loaded = load(name)
    said = {path for pattern in loaded.scenario.priors for path in matching(loaded.tree, pattern)}
    assert [path for path, _ in parameters(loaded.tree) if path not in said] == []
    assert {lab.name for lab in loaded.scenario.labs} == {"lab-a", "lab-b", "lab-c"}
    assert all(campaign.name.startswith("campaign-") for campaign in loaded.scenario.campaigns)


def test_parameters_are_named_by_path_and_pattern() -> None:
    tree = load("small").tree
    assert lookup(tree, "campaigns.campaign-a.pool") == 30
    assert lookup(tree, "signals.payment.needs") == 3
    changed = moved(tree, "campaigns.*.pool", "x0.5")
    assert [one["pool"] for one in changed["campaigns"]] == [15, 6]
    changed = moved(tree, "signals.*.rate", "x3")
    assert [one["rate"] for one in changed["signals"]] == ["0.3/day", "0.3/day", "0.15/day"]
    assert moved(tree, "policy.act", "3h")["policy"]["act"] == "3h"
    assert tree == load("small").tree
    for path in ("campaigns.campaign-z.pool", "nothing", "campaigns.*.nothing"):
        with pytest.raises(UnknownParameter):
            moved(tree, path, "x2")
