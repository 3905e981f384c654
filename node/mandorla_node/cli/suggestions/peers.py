"""The names of a home's peers."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from ...home.peer_names import peer_names


def peers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the peers that are pinned by the home on the line, or in the environment."""
    home = ctx.params.get("home")
    if not home:
        return []
    # The shell has not expanded a word that is still being typed.
    return peer_names(Path(os.path.expandvars(home)).expanduser())
