"""`mandorla matches`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from .. import completion
from ..help import manual
from ..lazy_commands import handled_by
from ..options import HomeOption, RoundKindOption


class MatchFormat(StrEnum):
    """The format in which matches are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    STIX = "stix"
    MISP = "misp"


@handled_by("mandorla_node.cli.handlers.matches:matches")
@manual(
    ("The newest:", "mandorla matches"),
    ("The watch matches of one peer:", "mandorla matches --peer birch --kind watch --limit 0"),
    ("All matches, for another system:", "mandorla matches --format stix > matches.json"),
    see="`mandorla check`, `mandorla round`; docs/formats.md",
)
def matches(
    home: HomeOption,
    written_as: Annotated[
        MatchFormat,
        typer.Option("--format", metavar="FORMAT", help="table, json, csv, jsonl, parquet, stix or misp."),
    ] = MatchFormat.TABLE,
    peer: Annotated[
        str,
        typer.Option(
            metavar="PEER",
            help="Only matches with this peer.",
            show_default=False,
            autocompletion=completion.peers,
        ),
    ] = "",
    kind: Annotated[
        RoundKindOption | None,
        typer.Option(
            metavar="KIND", help="Only matches of this kind of round: shared or watch.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Rows of the table, newest first; 0: all rows.")
    ] = 40,
) -> None:
    """List the indicators of this lab that a peer flagged.

    Each match carries the peer's label. `ingest` reads every format but table and json: CSV, JSON Lines,
    Parquet, a STIX 2.1 bundle, a MISP event. The node may be running or stopped.

    Fingerprints that were ingested with a group give one match for the group, when enough of them match for
    their type. The match has the group's id as its value, the number of matching fingerprints as its tokens,
    and the most severe of their labels. It is no indicator: STIX and MISP leave it out, and `ingest` rejects
    it.
    """
