"""Attackers in as STIX and MISP, a round, and the matches out in every format, which a third lab ingests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from stix2validator import ValidationOptions, validate_instance

from mandorla_node.home.folder import Home

from .conftest import Run

DOMAINS = ["one.example", "two.example"]


@pytest.fixture(scope="module")
def matched(pair: list[Home], tmp_path_factory: pytest.TempPathFactory) -> list[Home]:
    """Two labs that were fed STIX and MISP, and ran a round."""
    folder = tmp_path_factory.mktemp("feeds")
    objects = [{"type": "indicator", "pattern": f"[domain-name:value = '{name}']"} for name in DOMAINS]
    (folder / "feed.json").write_text(json.dumps({"type": "bundle", "objects": objects}))
    tags = [{"name": "tlp:green"}, {"name": 'mandorla:reason="distillation"'}]
    attributes = [{"type": "domain", "value": name, "Tag": tags} for name in [*DOMAINS, "only.example"]]
    (folder / "event.json").write_text(json.dumps({"Event": {"Attribute": attributes}}))
    for home, name in zip(pair, ("feed.json", "event.json"), strict=True):
        command(home, "ingest", folder / name, "--as", "flagged")
    command(pair[0], "round", pair[1].card.name, "--kind", "shared", "--collection", "infrastructure")
    return pair


def command(home: Home, *arguments: object) -> bytes:
    called = [sys.executable, "-m", "mandorla_node.cli", *map(str, arguments), "--home", str(home.path)]
    return subprocess.run(called, check=True, capture_output=True).stdout


@pytest.mark.parametrize("written_as", ["stix", "misp", "csv", "jsonl", "parquet"])
def test_matches_go_out_in_a_format_that_comes_in_again(
    run: Run, folder: Path, home: Home, matched: list[Home], written_as: str
) -> None:
    arguments = ("matches", "--format", written_as)
    if written_as == "parquet":
        # It is bytes, which only a process of its own can write.
        exported = command(matched[0], *arguments)
    else:
        exported = run(*arguments, "--home", matched[0].path).out.encode()
    extension = "json" if written_as in ("stix", "misp") else written_as
    path = folder / f"matches.{extension}"
    path.write_bytes(exported)
    report = run("ingest", path, "--as", "flagged", "--home", home.path, "--json").parsed
    assert isinstance(report, dict)
    assert (report["added"], report["rejected_total"]) == (2, 0)
    if written_as == "stix":
        checked = validate_instance(json.loads(exported), ValidationOptions(version="2.1", strict=True))
        assert checked.is_valid
        assert not checked.warnings
    if extension == "json":
        assert b"distillation" in exported
        assert b"green" in exported
