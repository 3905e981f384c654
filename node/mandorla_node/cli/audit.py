"""`mandorla audit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import HomeOption, JsonOption

app = typer.Typer(
    no_args_is_help=True, help="Record what this lab did for an auditor, or verify such records."
)


@app.command()
def bundle(
    home: HomeOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", show_default=False)],
) -> None:
    """Write everything that this lab signed, asked and answered to one sealed file.

    It holds no indicator. The node may run or not.
    """
    from contextlib import closing

    from ..audit import write_bundle
    from ..home import Home
    from .output import console, count, safe, size

    opened = Home.open(home)
    with closing(opened.open_store()) as store:
        written = write_bundle(opened, store, out)
    said = f"{count(written.rounds)} rounds, {count(written.evaluations)} evaluations, {size(written.size)}"
    console().print(safe(f"{out}: {said}. It holds no indicator; give it to the auditor."))


@app.command()
def verify(
    files: Annotated[
        list[Path], typer.Argument(help="Bundles of one lab or of several.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Verify bundles, alone and against each other, and say claim by claim what they show.

    Offline, and the same program as `python -m mandorla_protocol.audit`.
    """
    from mandorla_protocol.audit.__main__ import verify_files
    from mandorla_protocol.audit.report import as_tree, tell
    from mandorla_protocol.engine import load_engine
    from mandorla_protocol.errors import Code

    from .output import console, safe, write_json

    verdict = verify_files([str(file) for file in files], load_engine("auto", 0))
    if as_json:
        write_json(as_tree(verdict))
    else:
        out = console()
        for line in tell(verdict):
            style = "bold red" if line.lstrip().startswith("FAILS") else ""
            out.print(safe(line, style), soft_wrap=True)
    if not verdict.holds:
        sys.exit(Code.CHECK_FAILED.info.exit_status)
