"""`mandorla top`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..help import manual
from ..lazy_commands import handled_by
from ..options import HomeOption


@handled_by("mandorla_node.cli.handlers.top:top")
@manual(
    ("Less often, over a slow connection:", "mandorla top --every 5"),
    see="`mandorla status`; docs/observing.md",
)
def top(
    home: HomeOption,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.2, max=60, help="Seconds between two updates.")
    ] = 1.0,
) -> None:
    """Watch the running node: peers, budgets, open rounds, load.

    Quit with q or Ctrl-C.
    """
