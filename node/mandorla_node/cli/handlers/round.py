"""`mandorla round`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from mandorla_protocol.errors import Code, InputError, MandorlaError, NodeError

from . import completion
from .help import manual, status
from .options import HomeOption, JsonOption, RoundKindOption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .round_view import Ended, RoundView


@manual(
    ("With one peer:", "mandorla round birch --kind shared --collection infrastructure"),
    ("With all of them:", "mandorla round --all --kind shared --collection accounts"),
    exit_status=(
        status(Code.NODE_NOT_RUNNING, "start it with `mandorla serve`."),
        status(Code.POLICY_REFUSED, "the peer does not agree to this kind or collection."),
        status(Code.PEER_UNAVAILABLE, "its node does not answer."),
    ),
    see="`mandorla matches`, `mandorla status`",
)
def start(
    home: HomeOption,
    kind: Annotated[
        RoundKindOption,
        typer.Option(
            metavar="KIND",
            help="shared: what both flagged. watch: what one observed and the other flagged.",
            show_default=False,
        ),
    ],
    collection: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="accounts, infrastructure, prompts or behaviour.",
            show_default=False,
            autocompletion=completion.collections,
        ),
    ],
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER", help="The peer's name.", show_default=False, autocompletion=completion.peers
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="With every pinned peer, one after another.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a round with a peer: find what both know.

    Both labs find the matches of their own side; `mandorla matches` lists them.
    """
    from mandorla_protocol.indicators import Collection

    from ..home.folder import Home
    from ..terminal import write_json
    from .round_view import RoundView, print_ended

    if (peer is None) is not every:
        raise InputError(Code.BAD_INPUT, "name one peer, or say --all")
    socket = Home.locate(home).operator_socket
    if collection not in list(Collection):
        raise InputError(Code.BAD_INPUT, f"the collections are {', '.join(Collection)}")
    with RoundView() as view:
        ended = asyncio.run(_run(socket, [peer] if peer else None, kind, collection, view))
    if as_json:
        write_json([one.as_object() for one in ended])
    else:
        print_ended(ended, kind, collection)
    for one in ended:
        if one.code:
            raise typer.Exit(Code[one.code].info.exit_status)


async def _run(
    socket: Path, names: Sequence[str] | None, kind: RoundKindOption, collection: str, view: RoundView
) -> list[Ended]:
    """Run the rounds one after another; one that fails does not keep the others from being run."""
    from mandorla.v1 import operator_pb2

    from ..client import Client
    from .round_view import Ended

    wanted = operator_pb2.KIND_SHARED if kind is RoundKindOption.SHARED else operator_pb2.KIND_WATCH
    ended: list[Ended] = []
    async with Client(socket, patience=0) as client:
        if names is None:
            names = [peer.name for peer in (await client.status()).peers]
            if not names:
                raise InputError(Code.UNKNOWN_PEER, "no peer is pinned yet")
        for name in names:
            view.begin(name)
            result: operator_pb2.RoundResult | None = None
            try:
                async for progress in client.start_round(name, wanted, collection):
                    view.show(progress)
                    if progress.HasField("result"):
                        result = progress.result
                if result is None:
                    raise NodeError(Code.INTERNAL, "the node reported no result")
            except MandorlaError as error:
                if len(names) == 1:
                    raise
                ended.append(Ended(name, kind, collection, None, error.code.name))
            else:
                ended.append(Ended(name, kind, collection, result, result.code))
    return ended
