"""The results of the benchmarks are what `benchmarks/README.md` says that they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.results import Result

MEMBERS = {"metric", "size", "ours", "peer", "value", "ratio", "unit"}


@pytest.mark.parametrize("name", ["bench", "peers", "watch"])
def test_recorded_results_have_the_closed_schema_and_a_row_each(name: str) -> None:
    recorded = json.loads((results.FOLDER / f"{name}.json").read_text("utf-8"))
    assert recorded
    for result in recorded:
        assert set(result) == MEMBERS
        assert isinstance(result["metric"], str)
        assert isinstance(result["size"], int)
        assert isinstance(result["unit"], str)
        assert result["ours"] is not None or result["value"] is not None
        assert result["value"] is None or result["peer"] is not None
        whole = None not in (result["ours"], result["value"])
        assert (result["ratio"] is not None) == whole
        if whole:
            assert result["ratio"] == pytest.approx(result["ours"] / result["value"], rel=2e-3)
    page = results.README.read_text("utf-8")
    table = page.split(f"<!-- {name}: ")[1].split(f"<!-- end of {name} -->")[0]
    assert sum(line.startswith("|") for line in table.splitlines()) == 2 + len(recorded)


def test_saving_replaces_one_table_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "README.md"
    page.write_text(
        "".join(f"<!-- {name}: written by the script -->\n<!-- end of {name} -->\n" for name in ("a", "b"))
    )
    monkeypatch.setattr(results, "README", page)
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    results.save("a", [Result(metric="old", size=1, ours=1.0, unit="s")], "Here.")
    results.save("b", [Result(metric="theirs", size=1, ours=3.0, peer="x", value=1.0, unit="s")], "Here.")
    results.save("a", [Result(metric="new", size=1, ours=1.0, peer="y", value=2.0, unit="s")], "Here.")
    text = page.read_text()
    assert "old" not in text
    assert "| 0.5 | 2.00 times | new |" in text
    assert "| 3 | **no, the other: 3.00 times** | theirs |" in text
    (saved,) = json.loads((tmp_path / "results" / "a.json").read_text())
    assert (saved["ours"], saved["value"], saved["ratio"]) == (1.0, 2.0, 0.5)


def test_what_cannot_be_measured_has_a_row_that_says_so() -> None:
    missing = Result(metric="round", size=1, ours=2.0, peer="x: cannot be installed here", unit="s")
    assert missing.as_object()["ratio"] is None
    assert "cannot be installed here: not measured" in missing.line()
