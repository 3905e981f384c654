"""`mandorla init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...home.key_kinds import SourceKind
from ..help import manual
from ..lazy_commands import handled_by
from ..options import JsonOption, KeyNameOption, KeyPathOption

_DEFAULT_LISTEN = "127.0.0.1:7443"


@handled_by("mandorla_node.cli.handlers.init:init")
@manual(
    ("To try it out, on this machine:", "mandorla init alder --lab alder"),
    (
        "With secrets sealed under a key on another disk, and an address for peers:",
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
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The home to make: a new or an empty folder.")],
    lab: Annotated[
        str, typer.Option(metavar="NAME", help="The lab's name: a-z, 0-9 and -.", show_default=False)
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The address on which the node listens for peers.")
    ] = _DEFAULT_LISTEN,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The address that peers dial, if it differs from --listen."),
    ] = None,
    key_source: Annotated[
        SourceKind,
        typer.Option(
            metavar="SOURCE",
            help="Source of the key that seals the home's secrets: file, credential or passphrase; "
            "home: they are not sealed.",
        ),
    ] = SourceKind.HOME,
    key_path: KeyPathOption = None,
    key_name: KeyNameOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a home: keys, card, configuration and store.

    The key of --key-source seals the home's secrets. It is a file at --key-path, best on another disk; or the
    systemd credential --key-name, read from --key-path if this process has no credentials; or a passphrase.
    """
