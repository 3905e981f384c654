"""The rounds that `mandorla round` starts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import typer

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, InputError, MandorlaError, NodeError
from mandorla_protocol.indicators import Collection

from ...client import Client
from ...home.folder import Home
from ...terminal import write_json
from ..options import RoundKindOption
from .round_display import RoundDisplay, RoundOutcome, print_outcomes


def start(
    home: Path, kind: RoundKindOption, collection: str, peer: str | None, every: bool, as_json: bool
) -> None:
    """Run a round with one peer or with all, and exit with the status of the first that failed."""
    if (peer is None) is not every:
        raise InputError(Code.BAD_INPUT, "name one peer, or give --all")
    socket = Home.locate(home).operator_socket
    if collection not in list(Collection):
        raise InputError(Code.BAD_INPUT, f"the collections are {', '.join(Collection)}")
    with RoundDisplay() as display:
        outcomes = asyncio.run(_run(socket, [peer] if peer else None, kind, collection, display))
    if as_json:
        write_json([outcome.as_object() for outcome in outcomes])
    else:
        print_outcomes(outcomes, kind, collection)
    for outcome in outcomes:
        if outcome.code:
            raise typer.Exit(Code[outcome.code].info.exit_status)


async def _run(
    socket: Path, peers: Sequence[str] | None, kind: RoundKindOption, collection: str, display: RoundDisplay
) -> list[RoundOutcome]:
    """Run the rounds one after another; the failure of one does not stop the others."""
    wire_kind = operator_pb2.KIND_SHARED if kind is RoundKindOption.SHARED else operator_pb2.KIND_WATCH
    outcomes: list[RoundOutcome] = []
    async with Client(socket, patience=0) as client:
        if peers is None:
            peers = [peer.name for peer in (await client.status()).peers]
            if not peers:
                raise InputError(Code.UNKNOWN_PEER, "no peer is pinned yet")
        for peer in peers:
            display.begin(peer)
            result: operator_pb2.RoundResult | None = None
            try:
                async for progress in client.start_round(peer, wire_kind, collection):
                    display.show(progress)
                    if progress.HasField("result"):
                        result = progress.result
                if result is None:
                    raise NodeError(Code.INTERNAL, "the node reported no result")
            except MandorlaError as error:
                if len(peers) == 1:
                    raise
                outcomes.append(RoundOutcome(peer, kind, collection, None, error.code.name))
            else:
                outcomes.append(RoundOutcome(peer, kind, collection, result, result.code))
    return outcomes
