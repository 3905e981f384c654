"""Commands of other packages: each entry point of the group `mandorla.commands`, mounted under its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points

import typer

from mandorla_protocol.errors import Code, NodeError

from .help import ManualCommand

GROUP = "mandorla.commands"
_PANEL = "More"


def mount(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Add the plugins; one whose requirements are not installed stays, and says what is missing.

    Help lists them all. When a command is named, only the plugin of that name is loaded.
    """
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if named is None or named == entry.name:
            _mount_one(app, entry)


def _mount_one(app: typer.Typer, entry: EntryPoint) -> None:
    try:
        command: object = entry.load()
    except ImportError as error:
        app.command(entry.name, cls=ManualCommand, rich_help_panel=_PANEL, context_settings=_ANYTHING)(
            _missing(entry, error)
        )
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name, rich_help_panel=_PANEL)
    elif callable(command):
        app.command(entry.name, cls=ManualCommand, rich_help_panel=_PANEL)(command)


_ANYTHING: dict[str, bool] = {"allow_extra_args": True, "ignore_unknown_options": True}


def _missing(entry: EntryPoint, error: ImportError) -> Callable[[], None]:
    extras = ",".join(entry.extras)
    wanted = f"mandorla[{extras}]" if extras else entry.value.partition(".")[0]

    def missing() -> None:
        raise NodeError(
            Code.BAD_CONFIG,
            f"`mandorla {entry.name}` needs {error.name or 'a package'}, which is not installed: "
            f"pip install '{wanted}'",
        )

    missing.__doc__ = f"Not installed: pip install '{wanted}'."
    return missing
