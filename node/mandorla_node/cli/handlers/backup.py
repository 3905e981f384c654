"""`mandorla backup` and `mandorla restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .help import manual
from .options import HomeOption, JsonOption


@manual(
    ("Each day, of the running node:", "mandorla backup --out alder.backup"),
    see="`mandorla restore`; docs/storage.md, which says what a backup is good for",
)
def backup(
    home: HomeOption,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write, which is not there yet.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Write the home into one file: store, configuration, cards and keys.

    The node may run meanwhile. Keys are in the file as they are in the home: sealed, or not.
    """
    from ..home.backup import back_up
    from ..home.folder import Home
    from ..terminal import console, plural, safe, size, write_json

    report = back_up(Home.locate(home), out)
    manifest = report.manifest
    if as_json:
        write_json(
            {
                "file": str(out),
                "lab": manifest.lab,
                "store": manifest.store,
                "files": len(manifest.files),
                "plain_keys": list(report.plain_keys),
                "left_out": list(report.left_out),
            }
        )
        return
    say = console()
    total = sum(one.size for one in manifest.files)
    say.print("Backed up ", safe(manifest.lab, "bold"), " in ", safe(str(out)), ".", sep="")
    say.print(f"{plural(len(manifest.files), 'file')} of {size(total)}, {size(out.stat().st_size)} packed.")
    if manifest.store == "postgresql":
        say.print("The store is not in it: take a copy of its database with pg_dump, after this one.")
    if report.plain_keys:
        say.print("Keys in it are in the clear: whoever has the file is this lab.", style="red")
        say.print(safe("`mandorla rekey` seals them; keep the file as you would keep them.", "dim"))
    for name in report.left_out:
        say.print(safe(f"Left out, since it is no plain file: {name}", "dim"))


@manual(
    ("On a new machine:", "mandorla restore alder.backup /var/lib/mandorla/alder"),
    see="`mandorla backup`; docs/storage.md",
)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    home: Annotated[
        Path, typer.Argument(metavar="HOME", help="Where the home goes: a new or an empty folder.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a home of a backup.

    The node of which it is must never run again: two that are one lab contradict each other. The backup's key
    epochs end, since their budgets may have been spent meanwhile.
    """
    from ..home.backup import restore as read
    from ..terminal import console, plural, safe, write_json

    report = read(file, home)
    if as_json:
        write_json({"home": str(home), "lab": report.manifest.lab, "epochs_ended": report.ended})
        return
    say = console()
    say.print(
        "Restored the home of ", safe(report.manifest.lab, "bold"), " in ", safe(str(home)), ".", sep=""
    )
    say.print(f"{plural(report.ended, 'key epoch')} ended; peers get new ones.")
    say.print(
        "When it serves, each pinned peer is asked what it saw of this lab's log. If one saw more than the "
        "backup has, the log cannot go on: find a newer backup, or begin anew with `mandorla init`."
    )
