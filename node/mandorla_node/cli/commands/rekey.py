"""`mandorla rekey`."""

from __future__ import annotations

from typing import Annotated

import typer

from ...home.key_kinds import SourceKind
from ..help import manual
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption, KeyNameOption, KeyPathOption


@handled_by("mandorla_node.cli.handlers.rekey:rekey")
@manual(
    ("A new key in a file:", "mandorla rekey --to file --key-path /mnt/keys/alder-2.key"),
    ("A new passphrase, which the command asks for:", "mandorla rekey --to passphrase"),
    see="docs/keys.md",
)
def rekey(
    home: HomeOption,
    to: Annotated[
        SourceKind,
        typer.Option(
            "--to",
            metavar="SOURCE",
            help="The key's new source: file, credential or passphrase; home: the secrets are not sealed.",
            show_default=False,
        ),
    ],
    path: KeyPathOption = None,
    name: KeyNameOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change the source of the key that seals this home's secrets, or change the passphrase.

    Stop the node first. The command needs the former key or passphrase once more, from the source that
    mandorla.toml names. The former key still opens older copies of the home.
    """
