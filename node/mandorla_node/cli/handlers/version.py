"""The version of `mandorla --version`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import typer


def show_version() -> None:
    """Print the version, and end the command."""
    try:
        typer.echo(f"mandorla {version('mandorla')}")
    except PackageNotFoundError:
        typer.echo("mandorla (not installed)")
    raise typer.Exit
