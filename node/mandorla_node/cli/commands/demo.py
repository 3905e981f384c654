"""`mandorla demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from .help import manual
from .options import JsonOption


@manual(
    ("With lists a tenth as long:", "mandorla demo --quick"),
    ("Keep the homes, to look at them with any command:", "mandorla demo --quick --keep"),
)
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Use a tenth of each list.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the three homes, and say where they are.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch three labs find the attackers that they share.

    Three real nodes, as processes on this machine, with real lists; it ends by checking what they found.
    """
    from .. import demo as show

    show.run(quick=quick, keep=keep, as_json=as_json)
