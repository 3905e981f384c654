"""The command line, `mandorla`.

One module a command; each imports what it needs when it runs, so that `mandorla --help` answers at once.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Annotated, Final, NoReturn

import typer

from mandorla_protocol.errors import Code

from ..crypto.library_copy import remove_library_copy
from . import (
    audit,
    backup,
    check,
    completion,
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
from .help import ManualCommand, ManualGroup, manual

_EXITS = sorted(code.info.exit_status for code in Code)
_STATUSES = f"{_EXITS[0]} to {_EXITS[-1]}"
_HELP = """Find the attackers that labs share, and reveal nothing else.

`mandorla demo` shows it at work. To run a node: `init` a home, give your peers your `card`, pin theirs with
`peer add`, `ingest` what you flagged, `serve`, and ask for a `round`.
"""

_COLLECT_EVERY: Final = 200_000


def build(arguments: Sequence[str]) -> typer.Typer:
    """Make the command line; `arguments` tell which plugins have to be loaded."""
    app = typer.Typer(
        name="mandorla",
        help=_HELP,
        no_args_is_help=True,
        cls=ManualGroup,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="markdown",
        # A traceback would show what a frame holds, and frames hold indicators.
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    start, node, look = "Start", "A node", "What it found"
    app.command("demo", cls=ManualCommand, rich_help_panel=start)(demo.demo)
    app.command("doctor", cls=ManualCommand, rich_help_panel=start)(doctor.doctor)
    app.command("init", cls=ManualCommand, rich_help_panel=node)(homes.init)
    app.command("card", cls=ManualCommand, rich_help_panel=node)(homes.card)
    app.command("renew", cls=ManualCommand, rich_help_panel=node)(homes.renew)
    app.command("rekey", cls=ManualCommand, rich_help_panel=node)(keys.rekey)
    app.add_typer(peers.app, name="peer", rich_help_panel=node)
    app.command("extract", cls=ManualCommand, rich_help_panel=node)(extract.extract)
    app.command("ingest", cls=ManualCommand, rich_help_panel=node)(ingest.ingest)
    app.command("serve", cls=ManualCommand, rich_help_panel=node)(serve.serve)
    app.command("backup", cls=ManualCommand, rich_help_panel=node)(backup.backup)
    app.command("restore", cls=ManualCommand, rich_help_panel=node)(backup.restore)
    app.command("round", cls=ManualCommand, rich_help_panel=node)(rounds.start)
    app.command("matches", cls=ManualCommand, rich_help_panel=look)(matches.matches)
    app.command("check", cls=ManualCommand, rich_help_panel=look)(check.check)
    app.command("status", cls=ManualCommand, rich_help_panel=look)(status.status)
    app.command("top", cls=ManualCommand, rich_help_panel=look)(top.top)
    app.add_typer(audit.app, name="audit", rich_help_panel=look)
    plugins.mount(app, arguments)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and exit with its status: 0, or that of the error's code (SPEC 11)."""
    if arguments is None:
        # A command loads much that stays, and holds few cycles: looking for them takes a tenth of its start.
        gc.set_threshold(_COLLECT_EVERY)
    given = list(sys.argv[1:] if arguments is None else arguments)
    completes = completion.asked()
    try:
        with completion.answered() if completes else failures.reported():
            build(completion.typed() if completes else given)(args=given, prog_name="mandorla")
    finally:
        remove_library_copy()
    sys.exit(0)


def _version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"mandorla {version('mandorla')}")
        except PackageNotFoundError:
            typer.echo("mandorla (not installed)")
        raise typer.Exit


@manual(
    ("Three labs on this machine find the attackers that they share:", "mandorla demo"),
    (
        "Make a home, and say where it is once, instead of to every command:",
        "mandorla init alder --lab alder\nexport MANDORLA_HOME=$PWD/alder",
    ),
    ("Run the node; in another terminal, ask how it is:", "mandorla serve\nmandorla status"),
    exit_status=(
        ("0", "It is done."),
        ("2", "The command line was not understood."),
        (_STATUSES, "The status of an error's code, which is the first line on standard error (SPEC 11)."),
        ("130", "Ended by Ctrl-C."),
        ("141", "Whoever read the output had enough."),
    ),
    environment=(
        ("MANDORLA_HOME", "The home of every command that takes `--home`."),
        ("MANDORLA_ENGINE", "What computes: `auto`, `native` or `portable`."),
        (
            "MANDORLA_...",
            "Any setting of mandorla.toml, over what the file says: `MANDORLA_LOG_LEVEL` for log_level, and "
            "`MANDORLA_ROUNDS__BUDGET` for budget in [rounds].",
        ),
    ),
    files=(("HOME/mandorla.toml", "What the lab agrees to. It holds every setting, with its default."),),
    see="docs/operators.md, from an installation to the incidents; `mandorla COMMAND --help`",
)
def _root(
    _version_option: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find the attackers that labs share."""
