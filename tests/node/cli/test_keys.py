"""Keys at the command line: a passphrase is asked for at the terminal, and only by what needs the keys."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mandorla_node.home.folder import Home
from mandorla_node.home.key_kinds import SourceKind
from mandorla_node.home.key_sources import KeySource
from mandorla_protocol.card import Card
from tests.support.commands import Run
from tests.support.labs import make_home
from tests.support.patience import PATIENCE
from tests.support.rekey_crashes import CHEAP

WORDS = "four quite ordinary words"
COMMAND = (sys.executable, "-m", "mandorla_node.cli")


def at_a_terminal(arguments: Sequence[object], *answers: tuple[str, str]) -> tuple[int, str]:
    """Run a command with a terminal; answer each prompt. Return its status and what the terminal showed."""
    ours, theirs = pty.openpty()

    # The first terminal that the leader of a session opens is the session's own.
    in_a_session = ("sh", "-c", 'exec "$@" 3<"$0"', os.ttyname(theirs))
    process = subprocess.Popen(
        [*in_a_session, *COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    try:
        for prompt, answer in answers:
            while prompt not in shown:
                shown += os.read(ours, 4096).decode()
            shown = ""
            os.write(ours, answer.encode() + b"\n")
        try:
            while part := os.read(ours, 4096):
                shown += part.decode()
        except OSError:
            pass  # Linux says so when the other end is closed.
        return process.wait(PATIENCE), shown
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_init_asks_twice_and_shows_nothing_of_the_passphrase(folder: Path) -> None:
    arguments = ("init", folder / "home", "--lab", "lab-a", "--key-source", "passphrase")
    differ = (("New passphrase", WORDS), ("again", WORDS + "x"))
    status, shown = at_a_terminal(arguments, *differ)
    assert (status, "differ" in shown, (folder / "home").exists()) == (10, True, False)
    status, shown = at_a_terminal(arguments, ("New passphrase", WORDS), ("again", WORDS))
    assert status == 0
    assert WORDS not in shown
    assert "sealed under a passphrase" in shown
    status, shown = at_a_terminal(("doctor", "--home", folder / "home"))
    assert (status, "not tried" in shown) == (0, True)


def test_a_node_without_a_terminal_says_what_it_needs(folder: Path) -> None:
    words = folder / "words"
    words.write_text(WORDS)
    words.chmod(0o600)
    made = Home.create(
        folder / "home", "lab-a", "127.0.0.1:1", source=KeySource(SourceKind.PASSPHRASE, words), cost=CHEAP
    )
    ran = subprocess.run(
        [*COMMAND, "serve", "--home", made.path],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 15
    assert "terminal" in ran.stderr
    assert "MANDORLA_KEYS__PATH" in ran.stderr


def test_a_passphrase_comes_from_a_descriptor(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def descriptor() -> tuple[int, str]:
        reading, writing = os.pipe()
        os.write(writing, WORDS.encode() + b"\n")
        os.close(writing)
        return reading, f"/dev/fd/{reading}"

    opened, path = descriptor()
    home = folder / "home"
    made = run("init", home, "--lab", "lab-a", "--key-source", "passphrase", "--key-path", path)
    os.close(opened)
    assert made.status == 0
    assert path not in (home / "mandorla.toml").read_text()
    opened, path = descriptor()
    monkeypatch.setenv("MANDORLA_KEYS__PATH", path)
    assert run("rekey", "--home", home, "--to", "file", "--key-path", folder / "lab.key").status == 0
    os.close(opened)
    monkeypatch.delenv("MANDORLA_KEYS__PATH")
    assert Home.open(home).key_source == KeySource(SourceKind.FILE, folder / "lab.key")


def test_a_key_file_is_made_where_it_is_wanted(folder: Path, run: Run) -> None:
    key = folder / "lab.key"
    made = run("init", folder / "home", "--lab", "lab-a", "--key-source", "file", "--key-path", key)
    assert made.status == 0
    assert "key file" in made.out
    assert (len(key.read_bytes()), key.stat().st_mode & 0o777) == (32, 0o600)
    assert run("doctor", "--home", folder / "home").status == 0


def test_what_needs_no_key_asks_for_none(folder: Path, run: Run) -> None:
    key, home = folder / "lab.key", folder / "home"
    made = Home.create(home, "lab-a", "127.0.0.1:1", source=KeySource(SourceKind.FILE, key))
    key.unlink()
    peer = folder / "peer.json"
    peer.write_text(make_home(folder, "lab-b").card.to_json())
    assert Card.from_json(run("card", "--home", home).out) == made.card
    assert run("peer", "add", peer, "--home", home).status == 0
    assert "lab-b" in run("peer", "list", "--home", home).out
    assert run("status", "--home", home).status == 19
    assert run("peer", "remove", "lab-b", "--home", home).status == 0
    assert run("audit", "bundle", "--home", home, "-o", folder / "a.audit").status == 15


def test_doctor_names_keys_that_nothing_protects(folder: Path, run: Run) -> None:
    home = make_home(folder, "lab-a")
    assert "plain files" in run("doctor", "--home", home.path).out


def test_doctor_names_what_a_rekey_left(folder: Path, run: Run) -> None:
    home = folder / "home"
    Home.create(home, "lab-a", "127.0.0.1:1", source=KeySource(SourceKind.FILE, folder / "lab.key"))
    (home / "identity.key").write_bytes(bytes(32))
    (home / "identity.key").chmod(0o600)
    ran = run("doctor", "--home", home)
    assert (ran.status, "identity.key" in ran.out) == (15, True)


@pytest.mark.parametrize(
    "options",
    [
        ("--key-source", "file"),
        ("--key-source", "credential", "--key-name", "a/b"),
        ("--key-source", "home", "--key-path", "x"),
    ],
)
def test_options_that_name_no_source_make_nothing(folder: Path, run: Run, options: tuple[str, ...]) -> None:
    assert run("init", folder / "home", "--lab", "lab-a", *options).status == 10
    assert not (folder / "home").exists()
