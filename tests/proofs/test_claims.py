"""The proofs' runner: it fails for a false claim, a mutant that passes, and checkers that no claim names."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proofs_run", ROOT / "proofs" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def claim(checker: str, control: str, artefact: str = "exhaustive.oprf_claims") -> dict[str, str]:
    return {"id": "one", "says": "something", "artefact": artefact, "checker": checker, "control": control}


def test_a_claim_holds_and_its_mutant_is_refuted(runner: ModuleType) -> None:
    cases, _ = runner.check(claim("check_blinding_is_perfect", "control_blinding"))
    assert cases > 1_000


@pytest.mark.parametrize(
    ("checker", "control", "said"),
    [
        ("control_blinding", "control_blinding", "does not hold"),
        ("check_correctness", "check_blinding_is_perfect", "the mutant passes"),
        ("check_nothing", "control_blinding", "does not exist"),
    ],
)
def test_what_is_not_in_order_breaks_the_run(
    runner: ModuleType, checker: str, control: str, said: str
) -> None:
    with pytest.raises(runner.Broken, match=said):
        runner.check(claim(checker, control))


def test_nothing_is_an_orphan(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    known = runner.claims()
    assert runner.orphans(known) == []
    assert runner.orphans(known[1:]) == [
        "exhaustive.oprf_claims: check_correctness",
        "exhaustive.oprf_claims: control_correctness",
    ]
    monkeypatch.setattr(runner, "claims", lambda _path: known[1:])
    assert runner.main() == 1


@pytest.mark.parametrize("holds", [True, False])
def test_the_table_has_the_order_of_the_claims_and_ends_where_one_does_not_hold(
    runner: ModuleType, tmp_path: Path, holds: bool
) -> None:
    known = {claim["id"]: claim for claim in runner.claims()}
    last = known["blinding-perfect"] if holds else claim("control_blinding", "control_blinding")
    chosen = [known["merkle-split"], known["merkle-frontier"], last]
    file = tmp_path / "claims.toml"
    file.write_text("".join("[[claim]]\n" + "".join(map(toml_line, one.items())) for one in chosen))
    run = subprocess.run(
        [sys.executable, str(ROOT / "proofs" / "run.py"), str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == (0 if holds else 1)
    rows = [line.split()[0] for line in run.stdout.splitlines()[1:]]
    assert rows == ["merkle-split", "merkle-frontier", *(["blinding-perfect"] if holds else [])]
    assert ("does not hold" in run.stderr) != holds


def toml_line(item: tuple[str, str]) -> str:
    return f"{item[0]} = {json.dumps(item[1])}\n"


def test_a_theorem_that_no_claim_names_is_an_orphan(runner: ModuleType) -> None:
    known = [claim for claim in runner.claims() if claim["id"] != "dleq-batch-algebra"]
    assert runner.orphans(known) == ["coq/dleq.v: dleq_batch", "coq/dleq.v: control_dleq_batch"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("Theorem one : False. Admitted.", "holds Admitted"),
        ("Axiom all : False. Theorem one : False. exact all. Qed.", "holds Axiom"),
    ],
)
def test_what_is_assumed_is_not_proved(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, said: str
) -> None:
    coq = importlib.import_module("coq_theorems")
    (tmp_path / "one.v").write_text(f"(* No Conjecture here. *)\n{source}\n")
    monkeypatch.setattr(coq, "HERE", tmp_path)
    monkeypatch.setattr(coq.shutil, "which", lambda tool: tool)
    with pytest.raises(coq.Unproved, match=said):
        coq.check()


def test_a_tool_that_is_missing_fails_the_run(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    coq = importlib.import_module("coq_theorems")
    monkeypatch.setattr(coq.shutil, "which", lambda _tool: None)
    with pytest.raises(runner.Broken, match="make proof-tools"):
        runner.check_coq([])


def test_every_claim_cites_a_section_of_the_specification(runner: ModuleType) -> None:
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)?)", (ROOT / "SPEC.md").read_text("utf-8"), re.MULTILINE))
    assert {one["spec"] for one in runner.claims()} <= headings
