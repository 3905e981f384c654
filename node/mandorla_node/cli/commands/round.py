"""`mandorla round`."""

from __future__ import annotations

from typing import Annotated

import typer

from mandorla_protocol.errors import Code

from .. import completion
from ..help import manual, status
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption, RoundKindOption


@handled_by("mandorla_node.cli.handlers.round:start")
@manual(
    ("With one peer:", "mandorla round birch --kind shared --collection infrastructure"),
    ("With all peers:", "mandorla round --all --kind shared --collection accounts"),
    exit_status=(
        status(Code.NODE_NOT_RUNNING, "start it with `mandorla serve`."),
        status(Code.POLICY_REFUSED, "the peer does not agree to this kind or collection."),
        status(Code.PEER_UNAVAILABLE, "the peer's node does not answer."),
    ),
    see="`mandorla matches`, `mandorla status`",
)
def start(
    home: HomeOption,
    kind: Annotated[
        RoundKindOption,
        typer.Option(
            metavar="KIND",
            help="shared: indicators that both labs flagged. "
            "watch: indicators that this lab observed and the peer flagged.",
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
    """Run a round with a peer: find the indicators in common.

    `mandorla matches` lists the matches that the round found. The peer's node runs the other half of the
    round: it finds its own indicators that are in this lab's table. From this lab's half it learns only a
    padded count.
    """
