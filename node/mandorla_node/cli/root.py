"""The root of the command line: the options and the help of `mandorla` itself."""

from __future__ import annotations

from collections.abc import Iterable
from pkgutil import resolve_name
from typing import Annotated, Final

import typer

from mandorla_protocol.errors import Code

from .command_table import COMMANDS
from .help import manual
from .lazy_commands import CommandEntry, LazyCommands, LazyGroup

_EXITS: Final = sorted(code.info.exit_status for code in Code)
_STATUSES: Final = f"{_EXITS[0]} to {_EXITS[-1]}"
_HELP: Final = """Find the attackers that labs share, and reveal nothing else.

`mandorla demo` shows it at work. To run a node: `init` a home, give your peers your `card`, pin theirs with
`peer add`, `ingest` the indicators that you flagged, `serve`, and start a `round`.
"""


def build() -> typer.Typer:
    """Return the command line; its commands are loaded when they are needed."""
    app = typer.Typer(
        name="mandorla",
        help=_HELP,
        no_args_is_help=True,
        cls=_RootGroup,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="markdown",
        # A traceback would show the values in its frames, and those may be indicators.
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    return app


class _RootGroup(LazyGroup):
    """The commands of this package, and those of plugins."""

    def lazy_commands(self) -> LazyCommands:
        """Return the group's commands."""
        return LazyCommands(COMMANDS, _plugin_entries)


def _plugin_entries() -> Iterable[CommandEntry]:
    entries: Iterable[CommandEntry] = resolve_name("mandorla_node.cli.plugins:plugin_entries")()
    return entries


def _version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        resolve_name("mandorla_node.cli.handlers.version:show_version")()


@manual(
    ("Three labs on this machine find the attackers that they share:", "mandorla demo"),
    (
        "Make a home, and name it once for all later commands:",
        "mandorla init alder --lab alder\nexport MANDORLA_HOME=$PWD/alder",
    ),
    ("Run the node; in another terminal, show its state:", "mandorla serve\nmandorla status"),
    exit_status=(
        ("0", "The command succeeded."),
        ("2", "The command line is wrong."),
        (_STATUSES, "The status of an error's code, which is the first line on standard error (SPEC 11)."),
        ("130", "Ended by Ctrl-C."),
        ("141", "The reader of the output closed it early."),
    ),
    environment=(
        ("MANDORLA_HOME", "The home of every command that takes `--home`."),
        ("MANDORLA_ENGINE", "The engine that computes: `auto`, `native` or `portable`."),
        (
            "MANDORLA_...",
            "Any setting of mandorla.toml, before the file's value: `MANDORLA_LOG_LEVEL` for log_level, and "
            "`MANDORLA_ROUNDS__BUDGET` for budget in [rounds].",
        ),
    ),
    files=(("HOME/mandorla.toml", "The lab's settings. It holds every setting, with its default."),),
    see="docs/operators.md, from an installation to the incidents; `mandorla COMMAND --help`",
)
def _root(
    _version_option: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find the attackers that labs share."""
