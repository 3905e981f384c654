"""Groups of fingerprints, by commands alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from mandorla_node.home.folder import Home
from mandorla_protocol.errors import Code

from .conftest import Run

TOKENS = [f"{number:032x}" for number in range(8)]


def test_two_labs_find_a_template_in_common(run: Run, folder: Path, pair: list[Home]) -> None:
    alder, birch = (home.path for home in pair)
    rows = "".join(f"{token},t1\n" for token in TOKENS[:4]) + f"{TOKENS[5]},\n"
    (folder / "alder.csv").write_text("value,group\n" + rows)
    (folder / "birch.txt").write_text("\n".join(TOKENS[3:]))

    def take(name: str, home: Path, *extra: str) -> dict[str, int]:
        arguments = ("--as", "flagged", "--type", "prompt-template", "--home", home, "--json")
        report = run("ingest", folder / name, *arguments, *extra).parsed
        assert isinstance(report, dict)
        return report

    def found(home: Path) -> list[tuple[str, str | None, int]]:
        shown = run("matches", "--home", home, "--format", "json").parsed
        assert isinstance(shown, list)
        return [(one["value"], one["group"], one["tokens"]) for one in shown]

    report = take("alder.csv", alder)
    assert (report["added"], report["rejected_total"]) == (4, 1), "one names no group"
    assert take("birch.txt", birch)["rejected_total"] == 5
    assert take("birch.txt", birch, "--group", "x9")["added"] == 5
    round_arguments = ("round", "birch", "--kind", "shared", "--collection", "prompts", "--home", alder)
    assert run(*round_arguments).status == 0
    assert found(alder) == found(birch) == []

    (folder / "birch.txt").write_text(TOKENS[2])
    take("birch.txt", birch, "--group", "x9")
    assert run(*round_arguments).status == 0
    assert found(alder) == [("t1", "t1", 2)]
    assert found(birch) == [("x9", "x9", 2)]
    shown = run("matches", "--home", alder).out
    assert "t1 (2 fingerprints)" in shown
    assert "1 match with 1 peer" in shown
    (row,) = csv.DictReader(io.StringIO(run("matches", "--home", alder, "--format", "csv").out))
    assert (row["value"], row["group"], row["tokens"]) == ("t1", "t1", "2")
    checked = run("check", "prompt-template", TOKENS[3], TOKENS[0], "--home", alder, "--json").parsed
    assert isinstance(checked, list)
    assert [[match["value"] for match in one["matches"]] for one in checked] == [["t1"], []]
    assert "birch" in run("check", "prompt-template", TOKENS[3], "--home", alder).out


@pytest.mark.spec("A.5-1")
def test_a_group_that_is_no_identifier_is_refused(run: Run, folder: Path, home: Home) -> None:
    (folder / "list.txt").write_text(TOKENS[0])
    arguments = ("--as", "observed", "--type", "prompt-template", "--home", home.path)
    ran = run("ingest", folder / "list.txt", *arguments, "--group", "two words")
    assert (ran.status, ran.err.split("\n")[0]) == (Code.BAD_INPUT.info.exit_status, "BAD_INPUT")
    assert run("ingest", folder / "list.txt", *arguments, "--group", "t1", "--json").status == 0
