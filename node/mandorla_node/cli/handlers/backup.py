"""The work of `mandorla backup` and `mandorla restore`."""

from __future__ import annotations

from pathlib import Path

from ...home.backup import back_up
from ...home.backup import restore as restore_home
from ...home.folder import Home
from ...terminal import console, plural, safe, size, write_json


def backup(home: Path, out: Path, as_json: bool) -> None:
    """Write a backup, and print what it holds and what it leaves out."""
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
    screen = console()
    total = sum(file.size for file in manifest.files)
    screen.print("Backed up ", safe(manifest.lab, "bold"), " in ", safe(str(out)), ".", sep="")
    screen.print(
        f"{plural(len(manifest.files), 'file')} of {size(total)}, {size(out.stat().st_size)} packed."
    )
    if manifest.store == "postgresql":
        screen.print("It does not hold the store: now copy the store's database with pg_dump.")
    if report.plain_keys:
        screen.print("It holds keys in the clear: anyone who has the file can act as this lab.", style="red")
        screen.print(safe("`mandorla rekey` seals them. Protect the file as you protect the keys.", "dim"))
    for name in report.left_out:
        screen.print(safe(f"Left out, because it is no regular file: {name}", "dim"))


def restore(file: Path, home: Path, as_json: bool) -> None:
    """Restore a home, and print what the operator has to know."""
    report = restore_home(file, home)
    if as_json:
        write_json({"home": str(home), "lab": report.manifest.lab, "epochs_ended": report.ended})
        return
    screen = console()
    screen.print(
        "Restored the home of ", safe(report.manifest.lab, "bold"), " in ", safe(str(home)), ".", sep=""
    )
    screen.print(f"{plural(report.ended, 'key epoch')} ended; peers get new ones.")
    screen.print(
        "At its start, the node asks each pinned peer for its record of this lab's log. If a peer has seen "
        "more of the log than the backup holds, the log cannot go on: restore a newer backup, or start over "
        "with `mandorla init`."
    )
