"""`mandorla doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..help import manual
from ..lazy_commands import handled_by
from ..options import JsonOption


@handled_by("mandorla_node.cli.handlers.doctor:doctor")
@manual(
    ("The installation:", "mandorla doctor"),
    ("The installation and a home:", "mandorla doctor --home /var/lib/mandorla/alder"),
    exit_status=(("10 and more", "The status of the first check that failed."),),
)
def doctor(
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="HOME", envvar="MANDORLA_HOME", help="Check this home, too."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check this installation, and a home if one is given.

    It checks versions, engine and cores; with --home also the home's keys, permissions, store and node.
    """
