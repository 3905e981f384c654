"""`mandorla peer`: whom this lab trusts to be who they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mandorla_protocol.errors import Code, InputError

from .help import ManualCommand, ManualGroup, manual
from .homes import card_object
from .options import HomeOption, JsonOption, PeerArgument

app = typer.Typer(cls=ManualGroup, help="Pin, list, pause and unpin peers.", no_args_is_help=True)


@app.command("add", cls=ManualCommand)
@manual(
    ("Then compare the fingerprint with the peer by telephone:", "mandorla peer add birch.card.json"),
    see="`mandorla card`; docs/operators.md, Pin your peers",
)
def add(
    card_file: Annotated[
        Path, typer.Argument(metavar="CARD_FILE", help="The peer's card, as it gave it to you.")
    ],
    home: HomeOption,
    as_json: JsonOption = False,
) -> None:
    """Pin a peer's card. A running node knows the peer at once.

    A newer card of a pinned peer takes the place of the one before, which goes on for a while ([keys] overlap
    in mandorla.toml). To refuse that one at once, remove the peer first.
    """
    from mandorla_protocol.card import MAX_CARD_BYTES, Card, fingerprint

    from ..home.folder import Home
    from ..terminal import console, pairs, safe, write_json

    try:
        with card_file.open("rb") as file:
            text = file.read(MAX_CARD_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{card_file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(Code.BAD_CARD, f"{card_file} is not UTF-8") from None
    card = Card.from_json(text)
    place = Home.locate(home)
    if card.identity == place.read_card().identity:
        raise InputError(Code.BAD_CARD, "this is this lab's own card")
    store = place.open_store()
    try:
        store.peers.add(card, place.settings.keys.overlap)
    finally:
        store.close()
    if as_json:
        write_json(card_object(card))
        return
    out = console()
    out.print("Pinned ", safe(card.name, "bold"), ".", sep="")
    rows = pairs()
    rows.add_row("endpoint", safe(card.endpoint))
    rows.add_row("fingerprint", safe(fingerprint(card.identity)))
    out.print(rows)
    out.print("Compare the fingerprint with the peer over another channel.", style="dim")


@app.command("list", cls=ManualCommand)
@manual(("For reading:", "mandorla peer list"), ("For a program:", "mandorla peer list --json"))
def list_peers(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the pinned peers."""
    from mandorla_protocol.card import fingerprint

    from ..formats.rows import rfc3339
    from ..home.folder import Home
    from ..terminal import ago, console, safe, table, write_json

    store = Home.locate(home).open_store()
    try:
        peers = store.peers.all()
    finally:
        store.close()
    if as_json:
        write_json(
            [
                card_object(peer.card)
                | {"last_contact": rfc3339(peer.last_contact) if peer.last_contact else None}
                for peer in peers
            ]
        )
        return
    out = console()
    if not peers:
        out.print("No peer is pinned yet: mandorla peer add CARD_FILE")
        return
    rows = table("peer", "endpoint", "last contact", "", "identity")
    for peer in peers:
        rows.add_row(
            safe(peer.name, "bold"),
            safe(peer.card.endpoint),
            ago(peer.last_contact),
            "paused" if peer.paused_at else "",
            safe(fingerprint(peer.card.identity)[:17] + " ..."),
        )
    out.print(rows)


@app.command("remove", cls=ManualCommand)
@manual(("For good:", "mandorla peer remove birch"), see="`mandorla peer pause`, which can be undone")
def remove(name: PeerArgument, home: HomeOption) -> None:
    """Unpin a peer: its node is refused from now on."""
    from ..home.folder import Home
    from ..terminal import console, safe

    store = Home.locate(home).open_store()
    try:
        store.peers.remove(name)
    finally:
        store.close()
    console().print("Unpinned ", safe(name, "bold"), ".", sep="")


@app.command("pause", cls=ManualCommand)
@manual(
    ("While something is looked into:", "mandorla peer pause birch"),
    see="`mandorla peer resume`; docs/operators.md, Incidents",
)
def pause(name: PeerArgument, home: HomeOption) -> None:
    """Stop all rounds with a peer, at once: what is open ends, and every call of it is refused."""
    _set_paused(name, home, paused=True)


@app.command("resume", cls=ManualCommand)
@manual(("After a pause:", "mandorla peer resume birch"))
def resume(name: PeerArgument, home: HomeOption) -> None:
    """Let rounds with a peer be again."""
    _set_paused(name, home, paused=False)


def _set_paused(name: str, home: Path, *, paused: bool) -> None:
    import asyncio

    from ..client import Client, node_answers
    from ..home.folder import Home
    from ..terminal import console, safe

    # No key is needed for it, so that it is as quick as it has to be.
    place = Home.locate(home)

    async def ask() -> None:
        async with Client(place.operator_socket, patience=0) as operator:
            await operator.pause(name, paused)

    if node_answers(place.operator_socket):
        asyncio.run(ask())
    else:
        store = place.open_store()
        try:
            store.peers.pause(name, paused)
        finally:
            store.close()
    console().print("Paused " if paused else "Goes on: ", safe(name, "bold"), ".", sep="")
