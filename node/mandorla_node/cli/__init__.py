"""The command line, `mandorla`.

One module a command; each imports what it needs when it runs, so that `mandorla --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from ..leftovers import remove_library_copy
from . import (
    audit,
    backup,
    check,
    demo,
    doctor,
    extract,
    failures,
    homes,
    ingest,
    keys,
    matches,
    peers,
    plugins,
    rounds,
    serve,
    status,
    top,
)

_HELP = """Find the attackers that labs share, and reveal nothing else.

`mandorla demo` shows it at work. To run a node: `init` a home, exchange `card`s with your peers, pin theirs
with `peer add`, `ingest` what you flagged, `serve`, and ask for a `round`.
"""


def build(arguments: Sequence[str]) -> typer.Typer:
    """Make the command line; `arguments` tell which plugins have to be loaded."""
    app = typer.Typer(
        name="mandorla",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        # A traceback would show what a frame holds, and frames hold indicators.
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    start, node, look = "Start", "A node", "What it found"
    app.command("demo", rich_help_panel=start)(demo.demo)
    app.command("doctor", rich_help_panel=start)(doctor.doctor)
    app.command("init", rich_help_panel=node)(homes.init)
    app.command("card", rich_help_panel=node)(homes.card)
    app.command("renew", rich_help_panel=node)(homes.renew)
    app.command("rekey", rich_help_panel=node)(keys.rekey)
    app.add_typer(peers.app, name="peer", rich_help_panel=node)
    app.command("extract", rich_help_panel=node)(extract.extract)
    app.command("ingest", rich_help_panel=node)(ingest.ingest)
    app.command("serve", rich_help_panel=node)(serve.serve)
    app.command("backup", rich_help_panel=node)(backup.backup)
    app.command("restore", rich_help_panel=node)(backup.restore)
    app.command("round", rich_help_panel=node)(rounds.start)
    app.command("matches", rich_help_panel=look)(matches.matches)
    app.command("check", rich_help_panel=look)(check.check)
    app.command("status", rich_help_panel=look)(status.status)
    app.command("top", rich_help_panel=look)(top.top)
    app.add_typer(audit.app, name="audit", rich_help_panel=look)
    plugins.mount(app, arguments)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and exit with its status: 0, or that of the error's code (SPEC 11)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with failures.reported():
            build(given)(args=given, prog_name="mandorla")
    finally:
        remove_library_copy()
    sys.exit(0)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"mandorla {version('mandorla')}")
        except PackageNotFoundError:
            typer.echo("mandorla (not installed)")
        raise typer.Exit


def _root(
    _version_option: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find the attackers that labs share."""
