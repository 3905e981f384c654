"""Commands are loaded step by step: a table for help, declarations for a command's help, and handlers."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pkgutil import resolve_name
from typing import Any, get_type_hints

import pytest
from typer.core import TyperCommand, TyperGroup

from mandorla_node.cli.command_table import COMMANDS
from mandorla_node.cli.help import summary_of
from mandorla_node.cli.lazy_commands import CommandEntry, LazyCommands, handled_by, handler_of
from mandorla_protocol.errors import Code, NodeError

from .conftest import Run
from .test_help import LEAVES, PAGES

_PROGRAM = """
import sys
from mandorla_node.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(*sys.modules, file=sys.stderr)
"""
_HEAVY = {
    "cryptography.x509",
    "email_validator",
    "grpc",
    "mandorla_node.home.folder",
    "mandorla_protocol.indicators",
    "numpy",
    "polars",
    "pyarrow",
    "sqlalchemy",
}


def modules_of(*arguments: str) -> set[str]:
    """Run a command in a process of its own; return the modules that it loaded."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    return set(ran.stderr.split())


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_table_says_what_the_command_says(entry: CommandEntry) -> None:
    assert entry.summary == summary_of(entry.load())


def test_help_of_the_root_loads_no_command() -> None:
    loaded = modules_of("--help")
    assert not loaded & _HEAVY
    assert not {name for name in loaded if name.startswith("mandorla_node.cli.commands")}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_help_of_a_command_loads_its_declaration_and_no_handler(entry: CommandEntry) -> None:
    loaded = modules_of(entry.name, "--help")
    assert not loaded & _HEAVY
    assert not {name for name in loaded if name.startswith("mandorla_node.cli.handlers")}
    declarations = {name for name in loaded if name.startswith("mandorla_node.cli.commands.")}
    assert declarations == {entry.target.partition(":")[0]}


@pytest.mark.parametrize("path", [path for path in LEAVES if path != ("simulate",)], ids=" ".join)
def test_a_handler_takes_what_its_command_declares(path: tuple[str, ...]) -> None:
    command = PAGES[path]
    target = handler_of(command)
    assert target is not None
    handler = resolve_name(target)
    assert parameters(handler) == parameters(inspect.unwrap(command.callback))


def parameters(function: Any) -> dict[str, Any]:
    """Return a function's parameters with their types, without what an annotation adds for the shell."""
    hints = get_type_hints(function)
    return {name: hints[name] for name in inspect.signature(function).parameters}


def test_a_command_names_the_extra_that_it_lacks() -> None:
    @handled_by("nowhere:nothing", requires=("sys", "no_such_package"), extra="extract")
    def command() -> None:
        """Do nothing."""

    with pytest.raises(NodeError) as caught:
        command()
    assert caught.value.code is Code.BAD_CONFIG
    assert "needs no_such_package" in caught.value.detail
    assert caught.value.detail.endswith("pip install 'mandorla[extract]'")


def test_plugins_are_looked_for_only_if_a_name_is_not_in_the_table() -> None:
    searches: list[str] = []

    def plugins() -> list[CommandEntry]:
        searches.append("once")
        return [CommandEntry("status", "nowhere:nothing", ""), CommandEntry("more", COMMANDS[0].target, "")]

    commands = LazyCommands(COMMANDS, plugins)
    assert isinstance(commands["status"], TyperCommand)
    assert isinstance(commands["peer"], TyperGroup)
    assert searches == []
    assert isinstance(commands["more"], TyperCommand)
    assert list(commands) == [entry.name for entry in COMMANDS] + ["more"]
    assert commands.get("none") is None
    assert searches == ["once"]


def test_a_mistyped_name_is_answered_with_the_nearest(run: Run) -> None:
    ran = run("statsu")
    assert ran.status == 2
    assert "Did you mean 'status'?" in " ".join(ran.err.split())
