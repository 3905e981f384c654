"""A shell is told how a line can go on, quickly and quietly, whatever the home is like."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from mandorla_node.home.folder import Home
from mandorla_node.home.peer_names import peer_names
from tests.support import labs
from tests.support.databases import Databases
from tests.support.patience import PATIENCE
from tests.support.stores import moved

from .conftest import Run

_BASH = """
eval "$(_MANDORLA_COMPLETE=source_bash mandorla)"
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mandorla_completion mandorla; echo "${COMPREPLY[*]}"; }
"""
_ZSH = """
_arguments() { print -r -- "$*" }
_files() { print -r -- files }
compdef() { : }
eval "$(_MANDORLA_COMPLETE=source_zsh mandorla)"
words=(mandorla round b) CURRENT=3
_mandorla_completion
words=(mandorla ingest l) CURRENT=3
_mandorla_completion
"""
_FISH = """
_MANDORLA_COMPLETE=source_fish mandorla | source
complete --do-complete "mandorla round b"
"""


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """A folder with `mandorla` in it, as it is on the path of whoever installed it."""
    with tempfile.TemporaryDirectory(prefix="md-") as folder:
        script = Path(folder) / "mandorla"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mandorla_node.cli "$@"\n')
        script.chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def alder() -> Iterator[Home]:
    """A home that pinned two peers."""
    with tempfile.TemporaryDirectory(prefix="md-") as folder:
        yield labs.make_labs(Path(folder), "alder", "birch", "cedar")[0]


def shell(
    program: Path, command: list[str], script: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a shell with nothing of this process's environment but what it needs."""
    environment = {"PATH": f"{program}:{os.environ['PATH']}", "HOME": str(program), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [*command, script],
        env=environment | variables,
        cwd=Path(__file__).parents[3],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def ask(program: Path, *lines: list[str], **variables: str) -> list[set[str]]:
    """Return what bash offers for the last word of each line; the words are split as bash splits them."""
    asked = "\n".join("ask mandorla " + shlex.join(words) for words in lines)
    ran = shell(program, ["bash", "--norc", "-c"], _BASH + asked, **variables)
    assert (ran.returncode, ran.stderr) == (0, "")
    return [set(line.split()) for line in ran.stdout.split("\n")[:-1]]


def test_bash_completes_what_a_person_types(program: Path, alder: Home) -> None:
    home = str(alder.path)
    expected: Mapping[tuple[str, ...], set[str]] = {
        ("ro",): {"round"},
        ("si",): {"simulate"},
        ("peer", "p"): {"pause"},
        ("round", "--k"): {"--kind"},
        ("round", ""): {"birch", "cedar"},
        ("peer", "pause", "c"): {"cedar"},
        ("round", "birch", "--kind", "shared", "--collection", "i"): {"infrastructure"},
        ("ingest", "list", "--as", ""): {"flagged", "observed"},
        ("ingest", "list", "--type", "mail"): {"mailbox", "mail-domain"},
        ("ingest", "list", "--tlp", "amber"): {"amber", "amber-strict"},
        ("extract", "logs", "--types", "ipv4,mail"): {"ipv4,mailbox", "ipv4,mail-domain"},
        # Nothing, so that bash goes on with files.
        ("ingest", ""): set(),
        # Only where it is typed in full does a command end the line.
        ("--version", "dem"): {"demo"},
    }
    given = ask(program, *map(list, expected), MANDORLA_HOME=home)
    assert dict(zip(expected, given, strict=True)) == expected


def test_the_home_on_the_line_counts_however_it_is_written(program: Path, alder: Home) -> None:
    home = str(alder.path)
    folder, name = os.path.split(home)
    found = ask(
        program,
        ["matches", "--home", home, "--peer", ""],
        ["matches", "--home", "=", home, "--peer", "=", "b"],
        ["matches", "--home", f"~/{name}", "--peer", ""],
        ["matches", "--home", f"$HOME/{name}", "--peer", ""],
        ["matches", "--peer", ""],
        HOME=folder,
    )
    assert found == [{"birch", "cedar"}, {"birch"}, {"birch", "cedar"}, {"birch", "cedar"}, set()]


def test_a_home_that_cannot_be_read_says_nothing(program: Path, alder: Home, folder: Path) -> None:
    shutil.copytree(alder.path, folder / "sealed", ignore=shutil.ignore_patterns("*.key"))
    spoils = {
        "config": ("mandorla.toml", b"\xff["),
        "torn": ("mandorla.db", (alder.path / "mandorla.db").read_bytes()[:5000]),
        "other": ("mandorla.db", b"no database" * 1000),
        "away": ("mandorla.toml", b'[store]\nurl = "postgresql://x@127.0.0.1:1/x"\n'),
        "nowhere": ("mandorla.toml", b'[store]\nurl = "mysql:///x"\n'),
    }
    for name, (file, content) in spoils.items():
        shutil.copytree(alder.path, folder / name)
        (folder / name / file).write_bytes(content)
    shutil.copytree(alder.path, folder / "empty", ignore=shutil.ignore_patterns("*.db"))
    before = sorted(folder.rglob("*"))
    lines = [["round", "--home", str(folder / name), ""] for name in ("sealed", *spoils, "empty", "absent")]
    found = ask(program, *lines, MANDORLA_HOME=str(alder.path))
    # Whose keys are elsewhere, or under a passphrase, is asked for none.
    assert found == [{"birch", "cedar"}, *[set[str]()] * 7]
    assert sorted(folder.rglob("*")) == before


def test_names_are_read_from_either_database_beside_those_who_write(
    folder: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, *others = (labs.make_home(folder, name) for name in ("alder", "birch", "cedar"))
    if url := databases.url(home.path):
        home = moved(home, url)
    labs.pin(home, others[0])
    files = sorted(home.path.iterdir())
    assert peer_names(home.path) == ["birch"]
    assert sorted(home.path.iterdir()) == files
    with closing(home.open_store()) as store:
        store.peers.add(others[1].card)
        with store._database.write():
            assert peer_names(home.path) == ["birch", "cedar"]
        store.peers.remove("birch")
    assert peer_names(home.path) == ["cedar"]
    monkeypatch.setenv("MANDORLA_STORE__URL", "postgresql://x@127.0.0.1:1/x")
    assert peer_names(home.path) == [], "the environment says that the store is elsewhere"


def test_what_is_no_name_is_not_given_to_a_shell(alder: Home, folder: Path) -> None:
    shutil.copytree(alder.path, folder / "h")
    with closing(sqlite3.connect(folder / "h/mandorla.db")) as connection, connection:
        connection.execute("UPDATE peers SET name = '$(touch x)' WHERE name = 'birch'")
    assert peer_names(folder / "h") == ["cedar"]


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask in this process, with a plugin that breaks."""
    monkeypatch.setenv("_MANDORLA_COMPLETE", "complete_bash")
    broken = EntryPoints([EntryPoint("broken", f"{__name__}:no_such_name", "mandorla.commands")])
    monkeypatch.setattr("mandorla_node.cli.plugins.entry_points", lambda group: broken)


@pytest.mark.usefixtures("asks")
@pytest.mark.parametrize(
    ("words", "out"), [("mandorla\npeer\nli", "list\n"), ("mandorla\nbroken\n", ""), ("mandorla\n", "")]
)
def test_a_plugin_that_breaks_is_silent_and_in_nobodys_way(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: str, out: str
) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count("\n")))
    ran = run()
    assert (ran.out, ran.err) == (out, "")


def test_a_request_that_no_shell_makes_is_silent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MANDORLA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "mandorla\nro")
    monkeypatch.setenv("COMP_CWORD", "second")
    ran = run()
    assert (ran.out, ran.err) == ("", "")


def test_a_completion_waits_for_nothing_heavy(program: Path, alder: Home) -> None:
    code = """
import sys
from mandorla_node.cli import main
try:
    main([])
except SystemExit:
    heavy = {"sqlalchemy", "alembic", "grpc", "pydantic_settings", "mandorla_node.home.folder"}
    print(sorted(heavy & set(sys.modules)))
"""
    ran = shell(
        program,
        [sys.executable, "-c"],
        code,
        _MANDORLA_COMPLETE="complete_bash",
        COMP_WORDS="mandorla\nround\nb",
        COMP_CWORD="2",
        MANDORLA_HOME=str(alder.path),
    )
    assert (ran.stdout, ran.stderr) == ("birch\n[]\n", "")


def test_bash_finds_what_was_installed(program: Path, folder: Path) -> None:
    installed = "mandorla --install-completion; . ~/.bashrc; complete -p mandorla"
    ran = shell(program, ["bash", "--norc", "-c"], installed, HOME=str(folder))
    assert ran.stdout.splitlines()[-1] == "complete -o default -F _mandorla_completion mandorla"
    shown = shell(program, ["bash", "--norc", "-c"], "mandorla --show-completion; :", HOME=str(folder))
    assert "_mandorla_completion() {" in shown.stdout


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completes(program: Path, alder: Home) -> None:
    ran = shell(program, ["zsh", "-f", "-c"], _ZSH, MANDORLA_HOME=str(alder.path))
    assert (ran.stdout, ran.stderr) == ("""*: :(("birch"))\nfiles\n""", "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes(program: Path, alder: Home) -> None:
    ran = shell(program, ["fish", "--no-config", "-c"], _FISH, MANDORLA_HOME=str(alder.path))
    assert (ran.stdout, ran.stderr) == ("birch\n", "")
