"""The verdicts of `mandorla check`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ...client import Client, Verdict
from ...formats.rows import name_of
from ...home.folder import Home
from ...terminal import console, safe, table, write_json


def check(kind: str, values: list[str], home: Path, as_json: bool) -> None:
    """Ask the node about values of one type, and print its verdicts."""
    verdicts = asyncio.run(_check(Home.locate(home).operator_socket, kind, values))
    if as_json:
        _write_json(verdicts)
    else:
        _print(verdicts)


async def _check(socket: Path, kind: str, values: Sequence[str]) -> Sequence[Verdict]:
    async with Client(socket, patience=0) as client:
        return await client.check_many([(kind, value) for value in values])


def _print(verdicts: Sequence[Verdict]) -> None:
    rows = table(
        "value",
        "here",
        "flagged by peers",
        "compared with",
        wide=("value", "flagged by peers", "compared with"),
    )
    for verdict in verdicts:
        labels = {
            match.peer: f"{match.peer} ({name_of(match.label.reason)}, {name_of(match.label.severity)})"
            for match in verdict.matches
        }
        compared = ", ".join(verdict.compared_with)
        rows.add_row(
            safe(verdict.value, "bold"),
            safe("flagged", "red") if verdict.flagged_here else safe("not flagged", "dim"),
            safe(", ".join(labels.values()), "red") if labels else safe("none", "dim"),
            safe(compared) if compared else safe("no peer yet", "dim"),
        )
    console().print(rows)


def _write_json(verdicts: Sequence[Verdict]) -> None:
    write_json(
        [
            {
                "type": verdict.type,
                "value": verdict.value,
                "flagged_here": verdict.flagged_here,
                "compared_with": list(verdict.compared_with),
                "actionable": verdict.actionable,
                "matches": [match.as_object() for match in verdict.matches],
            }
            for verdict in verdicts
        ]
    )
