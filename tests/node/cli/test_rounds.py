"""`round`, `matches`, `check`, `status`: two labs whose nodes run, operated by commands alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from mandorla_node.home.folder import Home
from mandorla_protocol.errors import Code

from .conftest import Run

ALDER = ["a.example", "b.example", "only-alder.example"]
BIRCH = ["b.example", "a.example", "seen.example", "only-birch.example"]


@pytest.fixture(scope="module")
def fed(pair: list[Home]) -> list[Home]:
    """The two labs with lists: two domains flagged by both, one seen by alder and flagged by birch."""
    from mandorla_node.store import IndicatorSet
    from tests.support import labs

    alder, birch = pair
    labs.ingest(alder, ALDER, kind="mail-domain")
    labs.ingest(alder, ["seen.example", "harmless.example"], IndicatorSet.OBSERVED, "mail-domain")
    labs.ingest(birch, BIRCH, kind="mail-domain")
    return pair


def test_rounds_find_what_both_know_and_every_command_shows_it(run: Run, fed: list[Home]) -> None:
    alder, birch = (home.path for home in fed)
    ran = run("round", "birch", "--kind", "shared", "--collection", "accounts", "--home", alder)
    assert ran.status == 0
    assert "committed" in ran.out
    assert "birch: " in ran.err

    ran = run("round", "--all", "--kind", "watch", "--collection", "accounts", "--home", alder, "--json")
    assert isinstance(ran.parsed, list)
    (result,) = ran.parsed
    assert {"peer": "birch", "kind": "watch", "outcome": "committed", "matches": 1}.items() <= result.items()
    assert result["seconds"] > 0
    assert result["bytes_sent"] > 0

    found = run("matches", "--home", alder, "--format", "json").parsed
    assert isinstance(found, list)
    assert sorted((match["value"], match["peer"], match["kind"]) for match in found) == [
        ("a.example", "birch", "shared"),
        ("b.example", "birch", "shared"),
        ("seen.example", "birch", "watch"),
    ]
    assert all(match["first_matched"].endswith("Z") and match["label"] for match in found)

    rows = list(csv.DictReader(io.StringIO(run("matches", "--home", birch, "--format", "csv").out)))
    assert sorted(row["value"] for row in rows) == ["a.example", "b.example"]

    shown = run("matches", "--home", alder, "--limit", "1").out
    assert "3 matches with 1 peer (2 shared, 1 watch)." in shown
    assert "The newest 1 are shown" in shown
    only = run("matches", "--home", alder, "--format", "json", "--kind", "watch", "--peer", "birch").parsed
    assert isinstance(only, list)
    assert [match["value"] for match in only] == ["seen.example"]

    checked = run("check", "mail-domain", "A.example", "harmless.example", "--home", alder, "--json").parsed
    assert isinstance(checked, list)
    assert [(one["value"], one["flagged_here"], len(one["matches"])) for one in checked] == [
        ("a.example", True, 1),
        ("harmless.example", False, 0),
    ]
    assert checked[0]["compared_with"] == ["birch"]
    assert "disposable" not in run("check", "mail-domain", "a.example", "--home", alder).err

    status = run("status", "--home", alder, "--json").parsed
    assert isinstance(status, dict)
    assert status["lab"] == "alder"
    assert [peer["name"] for peer in status["peers"]] == ["birch"]
    assert {one["state"] for one in status["rounds"]} == {"committed"}
    text = run("status", "--home", alder).out
    assert "mail-domain" in text
    assert "birch" in text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nobody", "--kind", "shared", "--collection", "accounts"], Code.UNKNOWN_PEER),
        (["birch", "--kind", "shared", "--collection", "shoes"], Code.BAD_INPUT),
        (["birch", "--all", "--kind", "shared", "--collection", "accounts"], Code.BAD_INPUT),
        (["--kind", "shared", "--collection", "accounts"], Code.BAD_INPUT),
    ],
)
def test_a_round_that_cannot_be_is_refused(
    run: Run, pair: list[Home], arguments: list[str], code: Code
) -> None:
    ran = run("round", *arguments, "--home", pair[0].path)
    assert ran.status == code.info.exit_status
    assert "Traceback" not in ran.err


def test_matches_of_an_unknown_peer_are_refused(run: Run, pair: list[Home], home: Home) -> None:
    for path in (pair[0].path, home.path):
        ran = run("matches", "--home", path, "--peer", "nobody")
        assert ran.status == Code.UNKNOWN_PEER.info.exit_status


def test_matches_of_a_stopped_node_come_from_its_store(run: Run, home: Home) -> None:
    assert run("matches", "--home", home.path, "--format", "json").parsed == []
    assert "No matches yet" in run("matches", "--home", home.path).out


def test_a_wrong_value_is_refused_without_being_shown(run: Run, pair: list[Home]) -> None:
    ran = run("check", "ipv4", "sentinel.example", "--home", pair[0].path)
    assert ran.status == Code.BAD_INDICATOR.info.exit_status
    assert "sentinel" not in ran.err


def test_a_node_ends_with_its_parent(folder: Path) -> None:
    from mandorla_node.client import node_answers
    from tests.support import labs

    from .conftest import serving

    home = labs.make_home(folder, "cedar")
    with serving(home) as process:
        assert node_answers(home.operator_socket)
    assert process.returncode == 0
    assert not node_answers(home.operator_socket)
