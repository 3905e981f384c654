"""`--help` is a page that somebody can work from: it names what there is to give, and its examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mandorla_node.cli.help import manual_of
from mandorla_node.cli.root import build
from mandorla_protocol.errors import Code

from .conftest import Run


def commands(
    of: TyperCommand | TyperGroup, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Go through a command and all below it."""
    yield path, of
    if isinstance(of, TyperGroup):
        for name, command in of.commands.items():
            assert isinstance(command, TyperCommand | TyperGroup)
            yield from commands(command, (*path, name))


def root() -> TyperGroup:
    group = get_command(build())
    assert isinstance(group, TyperGroup)
    return group


PAGES = dict(commands(root()))
LEAVES = [path for path, command in PAGES.items() if not isinstance(command, TyperGroup)]


def calls(lines: str) -> Iterator[list[str]]:
    """Return the arguments of each `mandorla` in an example, as a shell takes it apart."""
    for line in lines.replace("\\\n", " ").split("\n"):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        arguments: list[str] | None = None
        for word in lexer:
            if word in ("|", ">"):
                if arguments is not None:
                    yield arguments
                arguments = None
            elif arguments is not None:
                arguments.append(word)
            elif word == "mandorla":
                arguments = []
        if arguments is not None:
            yield arguments


def parse(arguments: list[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Have the command line read arguments; return the command that would run, and what it would be given."""
    group, ran = root(), []
    for path, command in commands(group):
        if not isinstance(command, TyperGroup):
            command.callback = lambda _path=path, **given: ran.append((_path, given))
    group(arguments, prog_name="mandorla", standalone_mode=False)
    ((path, given),) = ran
    return path, given


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_examples_are_of_the_command_and_can_be_pasted(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANDORLA_HOME", "alder")
    examples = manual_of(PAGES[path]).examples
    assert 1 <= len(examples) <= 3
    for what, lines in examples:
        assert what.endswith(":")
        assert all(len(line) <= 76 for line in lines.split("\n")), "it would be folded at 80 columns"
        for arguments in calls(lines):
            ran, given = parse(arguments)
            assert ran == path
            require_offered(PAGES[path], given)


def require_offered(command: TyperCommand, given: dict[str, Any]) -> None:
    """Hold what an example gives to what a completion would offer there."""
    context = command.make_context(command.name, [], resilient_parsing=True)
    for param in command.params:
        offered = {item.value for item in param.shell_complete(context, "")}
        values = given[param.name]
        for value in values if isinstance(values, list | tuple) else [values]:
            if offered and value not in (None, ""):
                assert getattr(value, "value", value) in offered


def test_an_example_of_what_there_is_not_would_be_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(["status", "--home", "alder", "--nonsense"])


@pytest.mark.parametrize("lines", [lines for _, lines in manual_of(root()).examples])
def test_the_examples_of_the_root_are_commands(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANDORLA_HOME", "alder")
    found = [parse(arguments)[0] for arguments in calls(lines)]
    assert found
    assert set(found) <= PAGES.keys()


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
def test_a_page_fits_and_says_what_can_be_given(
    path: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MANDORLA_HOME", raising=False)
    page = run(*path, "--help")
    assert page.status == 0
    assert page.out == run(*path, "-h").out
    lines = page.out.splitlines()
    assert lines[0].startswith(f"Usage: {' '.join(('mandorla', *path))} [OPTIONS]")
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
    assert "\x1b" not in page.out
    assert not re.search(r"<[a-z|]+>", page.out), "an option says the type of its value instead of what it is"
    context = PAGES[path].make_context("x", [], resilient_parsing=True)
    said = page.out.replace("\n", " ")
    for param in PAGES[path].params:
        # There are too many types to name, and presets are listed by their command.
        if param.metavar not in ("TYPE", "TYPES", "SCENARIO"):
            for item in param.shell_complete(context, ""):
                assert item.value in said
    for example in manual_of(PAGES[path]).examples:
        assert all(text in page.out for line in example for text in line.split("\n"))


def test_on_a_terminal_names_have_a_colour_and_what_they_mean_has_none() -> None:
    pages = subprocess.run(
        [
            "script",
            "--quiet",
            "--command",
            f"{sys.executable} -m mandorla_node.cli peer add --help",
            "/dev/null",
        ],
        env=os.environ
        | {"TERM": "xterm-256color", "COLUMNS": "80", "NO_COLOR": "", "MANDORLA_HOME": "alder"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "\x1b[36m  --json " in pages
    assert " \x1b[0mWrite JSON for a program to read." in pages
    assert "\x1b[1mmandorla card\x1b[0m; docs" in pages, "what is typed is bold, and has no backticks"


def test_a_page_is_no_wider_than_one_reads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert 80 < max(len(line) for line in run("ingest", "--help").out.splitlines()) <= 100


def test_the_root_says_how_commands_end_and_what_they_heed(run: Run) -> None:
    out = run("--help").out
    statuses = [code.info.exit_status for code in Code]
    assert f"{min(statuses)} to {max(statuses)} " in out
    for name in ("MANDORLA_HOME", "MANDORLA_ENGINE", "MANDORLA_ROUNDS__BUDGET"):
        assert name in out


def test_a_usage_error_names_arguments_as_the_page_does(run: Run) -> None:
    ran = run("check")
    assert ran.status == 2
    assert "mandorla check [OPTIONS] TYPE VALUE..." in ran.err
