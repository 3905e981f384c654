"""The work of `mandorla peer add`, `list` and `remove`: the store's pinned peers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mandorla_protocol.card import MAX_CARD_BYTES, Card, fingerprint
from mandorla_protocol.errors import Code, InputError

from ...formats.rows import rfc3339
from ...home.folder import Home
from ...terminal import ago, console, pairs, safe, table, write_json
from .card_json import card_object


def add(card_file: Path, home: Path, as_json: bool) -> None:
    """Pin the card in a file.

    Raises InputError: BAD_FILE if the file cannot be read, BAD_CARD if it holds no card of a peer.
    """
    card = _read_card(card_file)
    place = Home.locate(home)
    if card.identity == place.read_card().identity:
        raise InputError(Code.BAD_CARD, "this is this lab's own card")
    with closing(place.open_store()) as store:
        store.peers.add(card, place.settings.keys.overlap)
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


def _read_card(path: Path) -> Card:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CARD_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(Code.BAD_CARD, f"{path} is not UTF-8") from None
    return Card.from_json(text)


def list_peers(home: Path, as_json: bool) -> None:
    """Print the pinned peers."""
    with closing(Home.locate(home).open_store()) as store:
        peers = store.peers.all()
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


def remove(name: str, home: Path) -> None:
    """Unpin a peer."""
    with closing(Home.locate(home).open_store()) as store:
        store.peers.remove(name)
    console().print("Unpinned ", safe(name, "bold"), ".", sep="")
