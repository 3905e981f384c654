"""Commands that other packages bring."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest
import typer

from mandorla_protocol.errors import Code

from .conftest import Run


def hello(name: str) -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}")


@pytest.fixture(autouse=True)
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """One plugin that is there, and one whose extra is not."""
    found = EntryPoints(
        [
            EntryPoint("hello", f"{__name__}:hello", "mandorla.commands"),
            EntryPoint("absent", "no_such_module.cli:run [simulations]", "mandorla.commands"),
        ]
    )
    monkeypatch.setattr("mandorla_node.cli.plugins.entry_points", lambda group: found)


def test_a_plugin_is_a_command(run: Run) -> None:
    ran = run("hello", "world")
    assert (ran.status, ran.out) == (0, "hello world\n")


def test_help_lists_plugins_and_says_what_is_missing(run: Run) -> None:
    out = run("--help").out
    assert "Greet somebody" in out
    assert "mandorla[simulations]" in out


def test_a_missing_extra_is_a_clear_error(run: Run) -> None:
    ran = run("absent", "--some", "option")
    assert ran.status == Code.BAD_CONFIG.info.exit_status
    assert "pip install 'mandorla[simulations]'" in " ".join(ran.err.split())


def test_a_broken_plugin_is_in_nobodys_way(run: Run) -> None:
    assert run("doctor").status == 0
