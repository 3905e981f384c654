"""`mandorla simulate`, as people and programs use it."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path

import pytest

from mandorla_protocol.errors import Code
from mandorla_simulations.results import FORMAT
from tests.support.commands import Run

TINY = """
base = "small"
title = "Tiny"
days = 1
seeds = 1
sharing = ["none", "mandorla-batch/12h"]
attacks = ["configured"]
[benign]
people = 60
"""


def test_a_missing_extra_is_a_clear_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "mandorla_simulations.cli", raising=False)
    ran = run("simulate")
    assert ran.status == Code.BAD_CONFIG.info.exit_status
    assert "pip install 'mandorla[simulations]'" in " ".join(ran.err.split())


@pytest.fixture
def tiny(folder: Path) -> Path:
    path = folder / "tiny.toml"
    path.write_text(TINY)
    return path


def test_presets_are_listed(run: Run) -> None:
    ran = run("simulate")
    assert ran.status == 0
    for name in ("rotation-2026-02", "pool-swap", "hydra", "low-and-slow", "adaptive", "small"):
        assert name in ran.out
    listed = run("simulate", "--json").parsed
    assert isinstance(listed, list)
    assert len(listed) == 6


def test_a_study_is_printed_and_written(run: Run, folder: Path) -> None:
    out = folder / "deep" / "out"
    ran = run("simulate", "small", "--seeds", "2", "--out", out, "--workers", "1")
    assert ran.status == 0, ran.err
    assert "Attackers as the scenario describes them" in ran.out
    assert "mandorla-batch/6h" in ran.out
    results = json.loads((out / "results.json").read_text())
    assert results["format"] == FORMAT
    assert results["scenario"]["seeds"] == [7, 8]
    assert [(cell["attack"], cell["sharing"]) for cell in results["cells"]] == [
        ("configured", "none"),
        ("configured", "mandorla-batch/6h"),
        ("configured", "mandorla-watch"),
        ("configured", "plaintext"),
        ("stay", "none"),
        ("stay", "mandorla-watch"),
    ]
    with (out / "daily.csv").open() as file:
        rows = list(csv.DictReader(file))
    for cell in results["cells"]:
        mine = [row for row in rows if (row["attack"], row["sharing"]) == (cell["attack"], cell["sharing"])]
        assert sum(float(row["exchanges"]) for row in mine) == pytest.approx(cell["exchanges"]["mean"])
    assert "<svg" in (out / "report.html").read_text()


def test_results_are_the_same_on_every_machine(run: Run, folder: Path) -> None:
    # Any change of the model changes this digest: say so in the changelog, and take the new one.
    run("simulate", "small", "--seeds", "2", "--out", folder / "out", "--workers", "2")
    cells = json.loads((folder / "out" / "results.json").read_text())["cells"]
    digest = hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()
    assert digest == "4efeeb30d69e6e5f1b2dd3694b3021717815e0ec51b7a52244a491d010fd3b5a"


def test_json_on_standard_output_equals_the_file(run: Run, folder: Path, tiny: Path) -> None:
    ran = run("simulate", tiny, "--json", "--out", folder / "out", "--workers", "1")
    assert ran.parsed == json.loads((folder / "out" / "results.json").read_text())


def test_sharing_and_seeds_can_be_chosen(run: Run, tiny: Path) -> None:
    arguments = ("--sharing", "plaintext", "--seed", "40", "--seeds", "3", "--workers", "1", "--json")
    ran = run("simulate", tiny, *arguments).parsed
    assert isinstance(ran, dict)
    assert ran["scenario"]["seeds"] == [40, 41, 42]
    assert [cell["sharing"] for cell in ran["cells"]] == ["plaintext"]


def test_a_repeated_option_is_run_once(run: Run, tiny: Path) -> None:
    twice = ("--sharing", "none", "--sharing", "none", "--attack", "configured", "--attack", "configured")
    ran = run("simulate", tiny, *twice, "--workers", "1", "--json").parsed
    assert isinstance(ran, dict)
    assert [(cell["attack"], cell["sharing"]) for cell in ran["cells"]] == [("configured", "none")]


def test_sensitivity_moves_every_assumption(run: Run, folder: Path, tiny: Path) -> None:
    tiny.write_text(TINY + '[priors]\n"benign.people" = { low = 10, high = 100, why = "few" }\n')
    ran = run("simulate", tiny, "--sensitivity", "--workers", "2", "--json").parsed
    assert isinstance(ran, dict)
    moved = {one["parameter"]: one for one in ran["sensitivity"]["parameters"]}
    assert moved["benign.people"] | {"at_low": 0, "at_high": 0} == {
        "parameter": "benign.people",
        "value": "60",
        "low": "10",
        "high": "100",
        "at_low": 0,
        "at_high": 0,
    }
    assert len(moved) > 10
    assert ran["sensitivity"]["base"] is not None


def test_real_nodes_are_compared_with_set_logic(run: Run, tiny: Path) -> None:
    ran = run("simulate", tiny, "--fidelity", "nodes", "--json").parsed
    assert isinstance(ran, dict)
    assert ran["scenario"]["fidelity"] == "nodes"
    load = ran["cells"][1]["load"]
    assert load["rounds"]["mean"] == 2 * 3 * 2 * 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing"], Code.BAD_FILE, "There is no file nothing."),
        (["small", "--sharing", "carrier-pigeon"], Code.BAD_INPUT, "sharing is none, plaintext"),
        (["small", "--sharing", "mandorla-batch/1s"], Code.BAD_INPUT, "at least 1min apart"),
        (
            ["small", "--fidelity", "nodes", "--sharing", "plaintext"],
            Code.BAD_INPUT,
            "nodes cannot run plaintext",
        ),
        (["hydra", "--fidelity", "nodes"], Code.BAD_INPUT, "takes up to 20,000 honest users"),
        (["--sweep", "nothing.toml", "--out", "x"], Code.BAD_FILE, "There is no file nothing.toml."),
        (["--sweep", "nothing.toml"], Code.BAD_INPUT, "--out FOLDER"),
        (["--sweep", "nothing.toml", "--seeds", "3"], Code.BAD_INPUT, "leave those options out"),
        (["small", "--fidelity", "nodes", "--attack", "stay"], Code.BAD_INPUT, "the attack is configured"),
    ],
)
def test_an_impossible_request_is_an_error(run: Run, arguments: list[str], code: Code, said: str) -> None:
    ran = run("simulate", *arguments)
    assert ran.status == code.info.exit_status
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_a_folder_that_cannot_be_written_is_an_error_before_the_runs(run: Run, folder: Path) -> None:
    (folder / "file").write_text("")
    ran = run("simulate", "small", "--out", folder / "file" / "out")
    assert ran.status == Code.BAD_FILE.info.exit_status


def test_a_wrong_scenario_names_its_lines(run: Run, folder: Path) -> None:
    path = folder / "wrong.toml"
    path.write_text(TINY + "neighbors = 3\n")
    ran = run("simulate", path)
    assert ran.status == Code.BAD_CONFIG.info.exit_status
    assert "wrong.toml, line 10: neighbors is not a key: did you mean neighbours?" in " ".join(
        ran.err.split()
    )
