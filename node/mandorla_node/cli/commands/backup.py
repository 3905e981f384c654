"""`mandorla backup` and `mandorla restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..help import manual
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption


@handled_by("mandorla_node.cli.handlers.backup:backup")
@manual(
    ("Every day, while the node runs:", "mandorla backup --out alder.backup"),
    see="`mandorla restore`; docs/storage.md, for what a backup protects against",
)
def backup(
    home: HomeOption,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write; it must not exist.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Write the home into one file: store, configuration, cards and keys.

    The node may be running. The file holds the keys as the home does: sealed, or in the clear.
    """


@handled_by("mandorla_node.cli.handlers.backup:restore")
@manual(
    ("On a new machine:", "mandorla restore alder.backup /var/lib/mandorla/alder"),
    see="`mandorla backup`; docs/storage.md",
)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The home to make: a new or an empty folder.")],
    as_json: JsonOption = False,
) -> None:
    """Make a home from a backup.

    The node that made the backup must never run again: two nodes with one identity contradict each other.
    The key epochs of the backup end, because their budgets may have been spent after it was made.
    """
