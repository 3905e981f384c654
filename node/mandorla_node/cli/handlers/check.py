"""`mandorla check`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mandorla_protocol.errors import Code

from . import completion
from .help import manual, status
from .options import HomeOption, JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from ..client import Verdict


@manual(
    ("Two addresses:", "mandorla check ipv4 198.51.100.7 198.51.100.8"),
    ("For a program, which finds `actionable` in the answer:", "mandorla check ipv4 198.51.100.7 --json"),
    exit_status=(status(Code.NODE_NOT_RUNNING, "start it with `mandorla serve`."),),
    see="`mandorla matches`; docs/gateway.md, for a gateway that asks without a process",
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
        list[str], typer.Argument(metavar="VALUE...", help="What to ask about.", show_default=False)
    ],
    home: HomeOption,
    as_json: JsonOption = False,
) -> None:
    """Ask the running node about indicators.

    It says whether they are flagged here, and by which peers. What is asked about is recorded as observed, so
    that the next watch round compares it.

    A fingerprint that belongs to a group is answered by the matches of the group. Where several of a group
    must match, nothing is recorded: ingest them with their group.
    """
    from ..home.folder import Home

    results = asyncio.run(_ask(Home.locate(home).operator_socket, kind, values))
    if as_json:
        _write_json(results)
    else:
        _print(results)


async def _ask(socket: Path, kind: str, values: Sequence[str]) -> Sequence[Verdict]:
    from ..client import Client

    async with Client(socket, patience=0) as client:
        return await client.check_many([(kind, value) for value in values])


def _print(results: Sequence[Verdict]) -> None:
    from ..formats.rows import name_of
    from ..terminal import console, safe, table

    rows = table(
        "value",
        "here",
        "flagged by peers",
        "compared with",
        wide=("value", "flagged by peers", "compared with"),
    )
    for result in results:
        said = {
            match.peer: f"{match.peer} ({name_of(match.label.reason)}, {name_of(match.label.severity)})"
            for match in result.matches
        }
        rows.add_row(
            safe(result.value, "bold"),
            safe("flagged", "red") if result.flagged_here else safe("not flagged", "dim"),
            safe(", ".join(said.values()), "red") if said else safe("none", "dim"),
            safe(", ".join(result.compared_with)) if result.compared_with else safe("no peer yet", "dim"),
        )
    console().print(rows)


def _write_json(results: Sequence[Verdict]) -> None:
    from ..terminal import write_json

    write_json(
        [
            {
                "type": result.type,
                "value": result.value,
                "flagged_here": result.flagged_here,
                "compared_with": list(result.compared_with),
                "actionable": result.actionable,
                "matches": [match.as_object() for match in result.matches],
            }
            for result in results
        ]
    )
