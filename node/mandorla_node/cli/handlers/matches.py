"""`mandorla matches`."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mandorla_protocol.errors import Code, InputError, NodeError

from . import completion
from .help import manual
from .options import HomeOption, RoundKindOption

if TYPE_CHECKING:
    from ..formats.export_author import Author
    from ..formats.matches import FoundMatch
    from ..home.folder import HomeFolder

_PIPED_TABLE_WIDTH: Final = 400
_PAGE: Final = 4096


class MatchFormat(StrEnum):
    """How matches are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    STIX = "stix"
    MISP = "misp"


@manual(
    ("The newest:", "mandorla matches"),
    ("What one peer warned of:", "mandorla matches --peer birch --kind watch --limit 0"),
    ("All of them, for another system:", "mandorla matches --format stix > matches.json"),
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
            help="Only those with this peer.",
            show_default=False,
            autocompletion=completion.peers,
        ),
    ] = "",
    kind: Annotated[
        RoundKindOption | None,
        typer.Option(
            metavar="KIND", help="Only those of this kind of round: shared or watch.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Rows of the table, newest first; 0 for all of them.")
    ] = 40,
) -> None:
    """List the indicators that a peer flagged too.

    With what the peer says of them. `ingest` reads all but the table and the JSON again: CSV, JSON Lines,
    Parquet, a STIX 2.1 bundle, a MISP event. Works with a running node and with a stopped one.

    Fingerprints that were ingested with a group make one match for the group, once as many of them match
    with a peer as their type needs. Its value is the group's id; tokens says how many match, and the label is
    the gravest of theirs. No indicator, it is not in STIX and MISP, and `ingest` rejects it.
    """
    from ..client import node_answers
    from ..home.folder import Home

    place = Home.locate(home)
    # The node opens what is sealed; ids in STIX and MISP are keyed by the identity.
    keyed = written_as in (MatchFormat.STIX, MatchFormat.MISP) or not node_answers(place.operator_socket)
    opened = Home.open(home) if keyed else place
    with closing(_found(opened, peer, kind)) as found:
        if written_as is MatchFormat.TABLE:
            _print(found, limit)
        else:
            _export(found, written_as, opened)


def _export(found: Iterator[FoundMatch], written_as: MatchFormat, home: HomeFolder) -> None:
    """Write matches to standard output, and how many could not be to standard error."""
    from ..formats import csv_writer, json_writer, misp_writer, parquet_reader, parquet_writer, stix_writer
    from ..terminal import console, plural

    left_out = 0
    match written_as:
        case MatchFormat.JSON:
            json_writer.write_json(found, sys.stdout)
        case MatchFormat.CSV:
            csv_writer.write_csv(found, sys.stdout)
        case MatchFormat.JSONL:
            json_writer.write_json_lines(found, sys.stdout)
        case MatchFormat.STIX:
            left_out = stix_writer.write_stix(found, sys.stdout, _author(home))
        case MatchFormat.MISP:
            left_out = misp_writer.write_misp(found, sys.stdout, _author(home))
        case _:
            parquet_reader.require_pyarrow()
            if sys.stdout.isatty():
                raise InputError(Code.BAD_INPUT, "Parquet is not for a terminal: send it to a file")
            parquet_writer.write_parquet(found, sys.stdout.buffer)
    if left_out:
        said = (
            f"{plural(left_out, 'match', 'matches')} left out: {written_as.value} cannot say what they are."
        )
        console(stderr=True).print(said)


def _author(home: HomeFolder) -> Author:
    from ..core.clock import system_clock
    from ..formats.export_author import Author
    from ..home.folder import Home

    if not isinstance(home, Home):
        raise NodeError(Code.INTERNAL, "an export needs the identity")
    return Author.of(home.card.name, home.card.identity, home.identity, system_clock())


def _print(found: Iterator[FoundMatch], limit: int) -> None:
    from ..formats.rows import name_of, rfc3339
    from ..terminal import console, count, plural, safe, table

    newest: deque[FoundMatch] = deque(maxlen=limit or None)
    by_peer: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for match in found:
        newest.append(match)
        by_peer[match.peer] += 1
        kinds[match.kind] += 1
    total = by_peer.total()
    out = console(width=None if sys.stdout.isatty() else _PIPED_TABLE_WIDTH)
    if not total:
        out.print("No matches yet: mandorla round --all --kind shared --collection NAME")
        return
    rows = table("value", "type", "peer", "kind", "reason", "severity", "since", wide=("value",))
    for match in reversed(newest):
        rows.add_row(
            safe(match.value + (f" ({match.tokens} fingerprints)" if match.group else ""), "bold"),
            safe(match.type),
            safe(match.peer),
            match.kind,
            name_of(match.label.reason),
            name_of(match.label.severity),
            rfc3339(match.first_matched)[:10],
        )
    out.print(rows)
    out.print()
    summary = f"{plural(total, 'match', 'matches')} with {plural(len(by_peer), 'peer')}"
    split = ", ".join(f"{count(number)} {kind}" for kind, number in sorted(kinds.items()))
    out.print(safe(f"{summary} ({split})."))
    if len(newest) < total:
        out.print(
            f"The newest {count(len(newest))} are shown; --limit 0 shows all, --format csv or json exports.",
            style="dim",
        )


def _found(home: HomeFolder, peer: str, kind: RoundKindOption | None) -> Generator[FoundMatch, None, None]:
    """Yield the matches, from the node if it runs and from its store if not."""
    from ..client import node_answers

    return (
        _from_node(home, peer, kind) if node_answers(home.operator_socket) else _from_store(home, peer, kind)
    )


def _from_node(
    home: HomeFolder, peer: str, kind: RoundKindOption | None
) -> Generator[FoundMatch, None, None]:
    from mandorla.v1 import operator_pb2

    from ..client import Client

    wanted = {
        None: operator_pb2.KIND_UNSPECIFIED,
        RoundKindOption.SHARED: operator_pb2.KIND_SHARED,
        RoundKindOption.WATCH: operator_pb2.KIND_WATCH,
    }[kind]

    async def stream() -> AsyncIterator[FoundMatch]:
        async with Client(home.operator_socket, patience=0) as client:
            async for match in client.matches(peer, wanted):
                yield match

    with asyncio.Runner() as runner:
        source = stream()
        while page := runner.run(_page(source)):
            yield from page


async def _page(source: AsyncIterator[FoundMatch]) -> list[FoundMatch]:
    """Take the next matches: going in and out of the event loop for each would take most of the time."""
    page: list[FoundMatch] = []
    async for match in source:
        page.append(match)
        if len(page) == _PAGE:
            break
    return page


def _from_store(
    home: HomeFolder, peer: str, kind: RoundKindOption | None
) -> Generator[FoundMatch, None, None]:
    from mandorla_protocol.header import RoundKind

    from ..formats.matches import FoundMatch

    wanted = {None: None, RoundKindOption.SHARED: RoundKind.SHARED, RoundKindOption.WATCH: RoundKind.WATCH}[
        kind
    ]
    with closing(home.open_store()) as store:
        if peer:
            store.peers.get(peer)
        for page in store.matches.all(peer or None, wanted):
            yield from map(FoundMatch.of, page)
