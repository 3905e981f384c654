"""The matches that `mandorla matches` prints or exports, from the running node or a stopped one's store."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, InputError, NodeError
from mandorla_protocol.header import RoundKind

from ...client import Client, node_answers
from ...core.clock import system_clock
from ...formats import csv_writer, json_writer, misp_writer, parquet_reader, parquet_writer, stix_writer
from ...formats.export_author import Author
from ...formats.matches import FoundMatch
from ...formats.rows import name_of, rfc3339
from ...home.folder import Home, HomeFolder
from ...terminal import console, count, plural, safe, table
from ..commands.matches import MatchFormat
from ..options import RoundKindOption

_PIPED_TABLE_WIDTH: Final = 400
_PAGE: Final = 4096


def matches(home: Path, written_as: MatchFormat, peer: str, kind: RoundKindOption | None, limit: int) -> None:
    """Print the matches as a table, or export them."""
    place = Home.locate(home)
    # The keys are opened only if they are needed: a running node opens sealed values itself, but the ids of
    # STIX and MISP are derived from the identity.
    keyed = written_as in (MatchFormat.STIX, MatchFormat.MISP) or not node_answers(place.operator_socket)
    opened = Home.open(home) if keyed else place
    with closing(_found(opened, peer, kind)) as found:
        if written_as is MatchFormat.TABLE:
            _print(found, limit)
        else:
            _export(found, written_as, opened)


def _export(found: Iterator[FoundMatch], written_as: MatchFormat, home: HomeFolder) -> None:
    """Write matches to standard output, and the number of those left out to standard error."""
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
                raise InputError(
                    Code.BAD_INPUT, "Parquet cannot be shown on a terminal: redirect it to a file"
                )
            parquet_writer.write_parquet(found, sys.stdout.buffer)
    if left_out:
        left = plural(left_out, "match", "matches")
        console(stderr=True).print(f"{left} left out: {written_as.value} has no form for them.")


def _author(home: HomeFolder) -> Author:
    if not isinstance(home, Home):
        raise NodeError(Code.INTERNAL, "an export needs the identity")
    return Author.of(home.card.name, home.card.identity, home.identity, system_clock())


def _print(found: Iterator[FoundMatch], limit: int) -> None:
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
    """Yield the matches from the running node, or from the store of a stopped one."""
    return (
        _from_node(home, peer, kind) if node_answers(home.operator_socket) else _from_store(home, peer, kind)
    )


def _from_node(
    home: HomeFolder, peer: str, kind: RoundKindOption | None
) -> Generator[FoundMatch, None, None]:
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
    """Return the next matches, many at once: one turn of the event loop for each is slow."""
    page: list[FoundMatch] = []
    async for match in source:
        page.append(match)
        if len(page) == _PAGE:
            break
    return page


def _from_store(
    home: HomeFolder, peer: str, kind: RoundKindOption | None
) -> Generator[FoundMatch, None, None]:
    wanted = {None: None, RoundKindOption.SHARED: RoundKind.SHARED, RoundKindOption.WATCH: RoundKind.WATCH}[
        kind
    ]
    with closing(home.open_store()) as store:
        if peer:
            store.peers.get(peer)
        for page in store.matches.all(peer or None, wanted):
            yield from map(FoundMatch.of, page)
