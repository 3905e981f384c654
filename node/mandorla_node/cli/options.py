"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

HomeOption: TypeAlias = Annotated[
    Path, typer.Option("--home", envvar="MANDORLA_HOME", help="The node's home folder.", show_default=False)
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON for a program to read.")]


class RoundKind(StrEnum):
    """A kind of round."""

    SHARED = "shared"
    WATCH = "watch"
