"""`mandorla peer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..help import ManualCommand, ManualGroup, manual
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption, PeerArgument

app = typer.Typer(
    cls=ManualGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Pin, list, pause and unpin peers.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.command("add", cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.peer:add")
@manual(
    ("Pin a peer, then compare the fingerprint by telephone:", "mandorla peer add birch.card.json"),
    see="`mandorla card`; docs/operators.md, Pin your peers",
)
def add(
    card_file: Annotated[
        Path, typer.Argument(metavar="CARD_FILE", help="The card file that the peer gave you.")
    ],
    home: HomeOption,
    as_json: JsonOption = False,
) -> None:
    """Pin a peer's card. A running node accepts the peer at once.

    A newer card of a pinned peer replaces the former card, which stays valid for a while ([keys] overlap in
    mandorla.toml). To refuse the former card at once, remove the peer first.
    """


@app.command("list", cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.peer:list_peers")
@manual(("As a table:", "mandorla peer list"), ("For a program:", "mandorla peer list --json"))
def list_peers(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the pinned peers."""


@app.command("remove", cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.peer:remove")
@manual(("For good:", "mandorla peer remove birch"), see="`mandorla peer pause`, which can be undone")
def remove(name: PeerArgument, home: HomeOption) -> None:
    """Unpin a peer: this node refuses its calls from now on."""


@app.command("pause", cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.peer_pause:pause")
@manual(
    ("While you investigate:", "mandorla peer pause birch"),
    see="`mandorla peer resume`; docs/operators.md, Incidents",
)
def pause(name: PeerArgument, home: HomeOption) -> None:
    """Immediately stop all rounds with a peer. Open rounds end; the node refuses every call from the peer."""


@app.command("resume", cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.peer_pause:resume")
@manual(("After a pause:", "mandorla peer resume birch"))
def resume(name: PeerArgument, home: HomeOption) -> None:
    """Allow rounds with a paused peer again."""
