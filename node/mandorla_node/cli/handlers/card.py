"""The card that `mandorla card` writes."""

from __future__ import annotations

from pathlib import Path

import typer

from ...home.folder import Home


def card(home: Path) -> None:
    """Write the lab's newest card to standard output."""
    typer.echo(Home.locate(home).read_card().to_json(), nl=False)
