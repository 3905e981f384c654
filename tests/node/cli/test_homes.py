"""`init`, `card`, `peer`, `doctor`, and how the command line itself behaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mandorla_node.cli.error_report import ADVICE
from mandorla_node.home.folder import Home
from mandorla_protocol.card import Card
from mandorla_protocol.errors import Code

from .conftest import Run


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help")
    assert ran.status == 0
    commands = "demo init card peer ingest serve round matches check status doctor"
    for name in commands.split(" "):
        assert f" {name} " in ran.out


def test_a_usage_error_is_no_crash(run: Run) -> None:
    ran = run("round")
    assert ran.status == 2
    assert "Traceback" not in ran.err


def test_init_makes_a_home_with_a_card(run: Run, folder: Path) -> None:
    ran = run("init", folder / "h", "--lab", "alder", "--listen", "127.0.0.1:7001")
    assert ran.status == 0
    card = Card.from_json(run("card", "--home", folder / "h").out)
    assert (card.name, card.endpoint) == ("alder", "127.0.0.1:7001")
    assert card.identity.hex()[:8] in ran.out


def test_init_keeps_what_is_there(run: Run, folder: Path) -> None:
    (folder / "file").write_text("mine")
    ran = run("init", folder, "--lab", "alder")
    assert ran.status == Code.BAD_HOME.info.exit_status
    assert ran.err.startswith("BAD_HOME\n")
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_peers_are_pinned_listed_and_unpinned(run: Run, folder: Path, home: Home) -> None:
    other = Home.create(folder / "b", "birch", "127.0.0.1:7002")
    (folder / "birch.json").write_text(other.card.to_json())
    added = run("peer", "add", folder / "birch.json", "--home", home.path, "--json")
    assert added.parsed == {
        "name": "birch",
        "endpoint": "127.0.0.1:7002",
        "identity": other.card.identity.hex(),
    }
    assert isinstance(added.parsed, dict)
    listed = run("peer", "list", "--home", home.path, "--json").parsed
    assert listed == [{**added.parsed, "last_contact": None}]
    assert "birch" in run("peer", "list", "--home", home.path).out
    assert run("peer", "remove", "birch", "--home", home.path).status == 0
    assert run("peer", "list", "--home", home.path, "--json").parsed == []
    again = run("peer", "remove", "birch", "--home", home.path)
    assert again.status == Code.UNKNOWN_PEER.info.exit_status


@pytest.mark.parametrize("content", [b"{}", b"\xff\xfe", b"x" * 100_000])
def test_a_bad_card_is_refused(run: Run, folder: Path, home: Home, content: bytes) -> None:
    (folder / "bad.json").write_bytes(content)
    ran = run("peer", "add", folder / "bad.json", "--home", home.path)
    assert ran.status == Code.BAD_CARD.info.exit_status


def test_a_lab_is_no_peer_of_itself(run: Run, folder: Path, home: Home) -> None:
    (folder / "own.json").write_text(home.card.to_json())
    assert (
        run("peer", "add", folder / "own.json", "--home", home.path).status == Code.BAD_CARD.info.exit_status
    )


def test_doctor_finds_a_home_well(run: Run, home: Home) -> None:
    ran = run("doctor", "--home", home.path, "--json")
    assert ran.status == 0
    assert isinstance(ran.parsed, dict)
    checks = {check["name"]: check["said"] for check in ran.parsed["checks"]}
    assert ran.parsed["well"] is True
    assert {"python", "engine", "cores", "cryptography", "store", "permissions", "socket"} <= set(checks)


def test_doctor_says_what_the_portable_engine_costs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANDORLA_ENGINE", raising=False)
    monkeypatch.setitem(sys.modules, "mandorla_protocol.engine.native", None)
    said = engine_by_doctor(run)
    assert said.startswith("portable, in processes: an operation costs two to eight times the CPU time")
    assert "install Rust 1.89 or newer" in said


def test_doctor_names_the_engine_that_the_environment_forces(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANDORLA_ENGINE", "portable")
    assert engine_by_doctor(run).startswith("portable")
    monkeypatch.setenv("MANDORLA_ENGINE", "abacus")
    ran = run("doctor")
    assert ran.status == Code.BAD_CONFIG.info.exit_status
    assert "abacus" in ran.out


def test_doctor_says_what_the_portable_engine_needs() -> None:
    """Its library is unpacked: a temporary folder that is noexec, or takes no file, as here, is none."""
    ran = subprocess.run(
        ["prlimit", "--fsize=0:0", sys.executable, "-m", "mandorla_node.cli", "doctor"],
        env=os.environ | {"MANDORLA_ENGINE": "portable"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == Code.BAD_CONFIG.info.exit_status
    assert "TMPDIR" in ran.stdout


def engine_by_doctor(run: Run) -> str:
    ran = run("doctor", "--json")
    assert ran.status == 0
    assert isinstance(ran.parsed, dict)
    return next(str(check["said"]) for check in ran.parsed["checks"] if check["name"] == "engine")


def test_doctor_sees_a_home_that_others_can_read(run: Run, home: Home) -> None:
    (home.path / "identity.key").chmod(0o644)
    ran = run("doctor", "--home", home.path)
    assert ran.status == Code.BAD_HOME.info.exit_status
    assert "identity.key" in ran.out


@pytest.mark.spec("A.1-8")
def test_doctor_sees_data_of_another_version_than_the_profiles(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mandorla_node.cli.handlers.doctor.DATA_VERSIONS", {"idna": "0"})
    ran = run("doctor")
    assert ran.status == Code.PROFILE_MISMATCH.info.exit_status
    assert "canonicalised by 0" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["check", "ipv4", "192.0.2.1"],
        ["round", "birch", "--kind", "shared", "--collection", "accounts"],
    ],
)
def test_commands_that_need_a_node_say_how_to_start_it(run: Run, home: Home, arguments: list[str]) -> None:
    ran = run(*arguments, "--home", home.path)
    assert ran.status == Code.NODE_NOT_RUNNING.info.exit_status
    assert "mandorla serve --home" in ran.err


def test_an_unexpected_failure_shows_no_content(
    run: Run, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("sentinel.example")

    monkeypatch.setattr("mandorla_node.cli.handlers.doctor._installation", fail)
    ran = run("doctor")
    assert ran.status == Code.INTERNAL.info.exit_status
    assert "KeyError in test_homes.py" in ran.err
    assert "sentinel" not in ran.out + ran.err


def test_advice_is_given_for_what_an_operator_can_mend() -> None:
    assert {code for code in Code if code.info.exit_status < 20} <= set(ADVICE)
