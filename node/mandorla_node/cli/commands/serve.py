"""`mandorla serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..help import manual
from ..lazy_commands import handled_by
from ..options import HomeOption


@handled_by("mandorla_node.cli.handlers.serve:serve")
@manual(
    ("In the foreground, with a log on the terminal:", "mandorla serve"),
    ("Once, on another port than the configured one:", "MANDORLA_LISTEN=127.0.0.1:7444 mandorla serve"),
    environment=(("MANDORLA_LOG_LEVEL", "`debug`, `info`, `warning` or `error`."),),
    files=(
        ("HOME/mandorla.toml", "The node's settings. It reads them once, at its start."),
        ("HOME/operator.sock", "The socket for the other commands and for the lab's gateway."),
    ),
    see="`mandorla status`; docs/operators.md, which has a systemd unit and a container",
)
def serve(
    home: HomeOption,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", hidden=True, help="Stop when standard input ends.")
    ] = False,
) -> None:
    """Run the node until SIGTERM or Ctrl-C.

    The node logs to standard error: plain text on a terminal, and one JSON object per line elsewhere.
    """
