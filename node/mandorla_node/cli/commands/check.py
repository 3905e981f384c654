"""`mandorla check`."""

from __future__ import annotations

from typing import Annotated

import typer

from mandorla_protocol.errors import Code

from .. import completion
from ..help import manual, status
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption


@handled_by("mandorla_node.cli.handlers.check:check")
@manual(
    ("Two addresses:", "mandorla check ipv4 198.51.100.7 198.51.100.8"),
    ("For a program, which finds `actionable` in the answer:", "mandorla check ipv4 198.51.100.7 --json"),
    exit_status=(status(Code.NODE_NOT_RUNNING, "start it with `mandorla serve`."),),
    see="`mandorla matches`; docs/gateway.md, for a gateway that asks without starting a process",
)
def check(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            help="The type of the values, such as ipv4 or mail-domain.",
            show_default=False,
            autocompletion=completion.types,
        ),
    ],
    values: Annotated[
        list[str], typer.Argument(metavar="VALUE...", help="The values to check.", show_default=False)
    ],
    home: HomeOption,
    as_json: JsonOption = False,
) -> None:
    """Ask the running node about indicators.

    The answer says whether this lab flagged them, and which peers did. The node also records them as
    observed, so that the next watch round compares them.

    For a fingerprint that belongs to a group, the answer holds the matches of the group. A type that needs
    several matches per group is not recorded: ingest its fingerprints with their group.
    """
