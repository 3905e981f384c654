"""`mandorla card` and `mandorla renew`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..help import manual
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption


@handled_by("mandorla_node.cli.handlers.card:card")
@manual(("To a file for the peers:", "mandorla card > alder.card.json"), see="`mandorla peer add`")
def card(home: HomeOption) -> None:
    """Write this lab's card, for peers to pin.

    The card is public. It holds the lab's name, key, certificate and endpoint, and is signed. Give it to your
    peers over a channel that they trust.
    """


@handled_by("mandorla_node.cli.handlers.renew:renew")
@manual(
    ("A new certificate for the same address:", "mandorla renew"),
    ("Move the node:", "mandorla renew --endpoint node.alder.example:7443"),
    see="`mandorla status`, `mandorla card`; docs/keys.md",
)
def renew(
    home: HomeOption,
    endpoint: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="The address that peers dial from now on.", show_default=False
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Issue a new certificate and a new card, and send the card to the peers.

    A running node keeps serving. It sends the card to each peer, and peers accept both certificates until the
    overlap ends ([keys] overlap in mandorla.toml). `status` names the peers that have not confirmed the new
    card: give it to them by hand before the overlap ends. A stopped node sends the card when it runs again.
    """
