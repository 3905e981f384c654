"""`mandorla init` and `mandorla card`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..home.key_kinds import SourceKind
from .help import manual
from .keys import KeyNameOption, KeyPathOption, said_of, source_from
from .options import HomeOption, JsonOption

if TYPE_CHECKING:
    from mandorla_protocol.card import Card

_DEFAULT_LISTEN = "127.0.0.1:7443"


@manual(
    ("To try it out, on this machine:", "mandorla init alder --lab alder"),
    (
        "Sealed under a key on another disk, and reached under another address:",
        "mandorla init alder --lab alder --endpoint node.alder.example:7443 \\\n"
        "    --key-source file --key-path /mnt/keys/alder.key",
    ),
    files=(
        ("HOME/mandorla.toml", "Every setting, with its default."),
        ("HOME/mandorla.db", "The store, unless [store] url names a PostgreSQL database."),
    ),
    see="`mandorla card`, `mandorla peer add`; docs/keys.md",
)
def init(
    home: Annotated[
        Path, typer.Argument(metavar="HOME", help="Where the home goes: a new or an empty folder.")
    ],
    lab: Annotated[
        str, typer.Option(metavar="NAME", help="The lab's name: a-z, 0-9 and -.", show_default=False)
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the node listens for peers.")
    ] = _DEFAULT_LISTEN,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="What peers dial, where it is not what the node listens on."),
    ] = None,
    key_source: Annotated[
        SourceKind,
        typer.Option(
            metavar="SOURCE",
            help="Where the key comes from that seals the home's secrets: file, credential or passphrase; "
            "home: they are not sealed.",
        ),
    ] = SourceKind.HOME,
    key_path: KeyPathOption = None,
    key_name: KeyNameOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a home: keys, card, configuration and store.

    Its secrets are sealed under the key of --key-source: a file at --key-path, which best is on another disk;
    a systemd credential called --key-name, read from --key-path where this process has none; or a passphrase.
    """
    from mandorla_protocol.card import fingerprint

    from ..home.folder import Home
    from ..terminal import console, pairs, safe, write_json

    made = Home.create(
        home,
        lab=lab,
        listen=listen,
        endpoint=endpoint,
        source=source_from(key_source, key_path, key_name),
    )
    if as_json:
        write_json({"home": str(home), **card_object(made.card)})
        return
    out = console()
    out.print("Made the home of ", safe(lab, "bold"), " in ", safe(str(home)), ".", sep="")
    rows = pairs()
    rows.add_row("endpoint", safe(made.card.endpoint))
    rows.add_row("fingerprint", safe(fingerprint(made.card.identity)))
    rows.add_row("keys", safe(said_of(made.key_source)))
    out.print(rows)
    out.print("\nNext", style="bold")
    steps = pairs()
    steps.add_row("give peers your card", safe(f"mandorla card --home {home} > {lab}.card.json"))
    steps.add_row("pin each of theirs", safe(f"mandorla peer add CARD_FILE --home {home}"))
    steps.add_row("start the node", safe(f"mandorla serve --home {home}"))
    out.print(steps)


@manual(("Into a file for the peers:", "mandorla card > alder.card.json"), see="`mandorla peer add`")
def card(home: HomeOption) -> None:
    """Write this lab's card, for peers to pin.

    The card is public: name, key, certificate and endpoint, signed. Give it to your peers over a channel that
    they trust.
    """
    from ..home.folder import Home

    typer.echo(Home.locate(home).read_card().to_json(), nl=False)


@manual(
    ("A new certificate, under the same address:", "mandorla renew"),
    ("Move the node:", "mandorla renew --endpoint node.alder.example:7443"),
    see="`mandorla status`, `mandorla card`; docs/keys.md",
)
def renew(
    home: HomeOption,
    endpoint: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="What peers dial from now on.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Issue a new certificate and a new card, and give the card to the peers.

    A running node goes on: each peer is told, and for a while, [keys] overlap in mandorla.toml, both
    certificates are taken. `status` names the peers that have not said that they pinned the new card; give
    them the card by hand if they do not before the overlap ends. A stopped node tells its peers when it runs.
    """
    import asyncio

    from mandorla_protocol.card import Card, require_endpoint

    from ..client import Client, node_answers
    from ..config.file_edit import replace_values
    from ..core import files
    from ..core.clock import system_clock
    from ..home.folder import CONFIG, Home
    from ..peers.card_renewal import renew_stopped
    from ..terminal import console, pairs, safe, write_json

    place = Home.locate(home)
    config, changed = home / CONFIG, ""
    if endpoint:
        require_endpoint(endpoint)
        changed = replace_values(config.read_bytes().decode(), "", {"endpoint": endpoint})

    async def ask() -> str:
        async with Client(place.operator_socket, patience=0) as client:
            return await client.renew_card(endpoint)

    runs = node_answers(place.operator_socket)
    made = (
        Card.from_json(asyncio.run(ask()))
        if runs
        else renew_stopped(Home.open(home), endpoint, system_clock())
    )
    if changed:
        with files.locked_home(home):
            files.replace(config, changed.encode())
    if as_json:
        write_json(card_object(made) | {"issued": made.issued})
        return
    out = console()
    out.print("Renewed the card of ", safe(made.name, "bold"), ".", sep="")
    rows = pairs()
    rows.add_row("endpoint", safe(made.endpoint))
    rows.add_row("peers", "are being told: mandorla status" if runs else "are told when the node runs")
    out.print(rows)


def card_object(card: Card) -> dict[str, str | None]:
    """Return what JSON output says of a card."""
    return {"name": card.name, "endpoint": card.endpoint, "identity": card.identity.hex()}
