"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from . import completion

HomeOption: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--home", metavar="HOME", envvar="MANDORLA_HOME", help="The node's home folder.", show_default=False
    ),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON for a program to read.")]

PeerArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="PEER", help="The peer's name.", autocompletion=completion.peers)
]


KeyPathOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--key-path",
        metavar="FILE",
        help="The key's file, made if it does not exist; or the passphrase's file (/dev/fd/3).",
        show_default=False,
    ),
]
KeyNameOption: TypeAlias = Annotated[
    str, typer.Option("--key-name", metavar="NAME", help="The systemd credential's name.", show_default=False)
]


class RoundKindOption(StrEnum):
    """A kind of round."""

    SHARED = "shared"
    WATCH = "watch"
