"""Sweeps: a grid, one table, and going on after an interruption."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mandorla_node.core.worker_pools import SerialPool
from mandorla_protocol.errors import Code, InputError
from mandorla_simulations import sweep as module
from mandorla_simulations.measures import Measures
from mandorla_simulations.study import Run, measure_run
from mandorla_simulations.sweep import load_sweep, run_sweep

SWEEP = """
title = "How fast an attacker replaces accounts"
scenario = "small"
seeds = 2
sharing = ["none", "plaintext"]

[[vary]]
parameter = "campaigns.campaign-a.replace"
values = ["1h", "12h"]

[[vary]]
parameter = "policy.silent"
values = [false, true]
"""


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "sweep.toml"
    path.write_text(SWEEP)
    return path


def nothing() -> None:
    """Show no progress."""


def test_a_sweep_is_a_grid_with_a_table(folder: Path, file: Path) -> None:
    plan = load_sweep(file, None)
    assert len(plan.runs) == 2 * 2 * 2 * 2
    rows = run_sweep(plan, folder, SerialPool(), nothing)
    assert len(rows) == 8
    with (folder / "sweep.csv").open() as table:
        written = list(csv.DictReader(table))
    assert [row["campaigns.campaign-a.replace"] for row in written] == ["1h"] * 4 + ["12h"] * 4
    assert float(written[0]["exchanges"]) == rows[0].measures["exchanges"].mean
    assert float(written[0]["exchanges_low"]) < rows[0].measures["exchanges"].mean


def test_a_sweep_goes_on_where_it_stopped(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_sweep(load_sweep(file, None), folder, SerialPool(), nothing)
    lines = (folder / "runs.jsonl").read_text().splitlines(keepends=True)
    # Killed while it wrote the sixth result.
    (folder / "runs.jsonl").write_text("".join(lines[:5]) + lines[5][:20])
    done: list[int] = []

    def counted(run: Run) -> Measures:
        done.append(run.seed)
        return measure_run(run)

    monkeypatch.setattr(module, "measure_run", counted)
    assert run_sweep(load_sweep(file, None), folder, SerialPool(), nothing) == whole
    assert len(done) == 11
    assert sorted((folder / "runs.jsonl").read_text().splitlines()) == sorted(line.strip() for line in lines)


def test_a_changed_scenario_is_run_again(folder: Path, file: Path) -> None:
    keys = {one.key for one in load_sweep(file, None).runs}
    file.write_text(SWEEP.replace('"12h"', '"13h"'))
    changed = {one.key for one in load_sweep(file, None).runs}
    assert len(keys & changed) == 8
    (folder / "mine.toml").write_text('base = "small"\n[policy]\nact = "2min"\n')
    assert not keys & {one.key for one in load_sweep(file, str(folder / "mine.toml")).runs}


def test_a_file_of_another_kind_is_refused_and_kept(folder: Path, file: Path) -> None:
    (folder / "runs.jsonl").write_text(json.dumps({"something": "else"}) + "\n")
    with pytest.raises(InputError) as caught:
        run_sweep(load_sweep(file, None), folder, SerialPool(), nothing)
    assert caught.value.code is Code.BAD_FILE
    assert "else" in (folder / "runs.jsonl").read_text()


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        (
            "campaign-a.replace",
            "campaign-x.replace",
            "line 8: campaigns.campaign-x.replace names no parameter",
        ),
        ('"1h", "12h"', '"1h", "12 hours"', "a duration is written as"),
        ("seeds = 2", "seed = -1", "line 4: seed should be greater than or equal to 0."),
        ("[[vary]]", "[[varied]]", "varied is not a key: did you mean vary?"),
        ('scenario = "small"', 'scenario = "smalll"', "There is no file smalll. Did you mean small?"),
        ("policy.silent", "policy.silentt", "silentt is not a key: did you mean silent?"),
    ],
)
def test_an_error_in_a_sweep_names_the_line(folder: Path, written: str, instead: str, said: str) -> None:
    path = folder / "sweep.toml"
    path.write_text(SWEEP.replace(written, instead, 1))
    with pytest.raises(InputError) as caught:
        load_sweep(path, None)
    assert said in caught.value.detail
