"""`mandorla demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..help import manual
from ..lazy_commands import handled_by
from ..options import JsonOption


@handled_by("mandorla_node.cli.handlers.demo:demo")
@manual(
    ("With lists a tenth as long:", "mandorla demo --quick"),
    ("Keep the homes, to inspect them with any command:", "mandorla demo --quick --keep"),
)
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Use a tenth of each list.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the three homes, and print their folder.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch three labs find the attackers that they share.

    Three real nodes run as processes on this machine, with real lists. At the end the demo checks the results
    against the plain intersection.
    """
