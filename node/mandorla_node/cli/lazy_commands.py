"""Commands that are loaded in three steps, so that help and completion answer at once.

    command_table.py    names, panels and one-line helps: enough for `mandorla --help`
    commands/           parameters and manual pages: enough for a command's `--help`, and for a completion
    handlers/           what the commands do, with everything that they import

A step names the next one by a target, `module:name`, which is imported when it is needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, Final, ParamSpec, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mandorla_protocol.errors import Code, NodeError

from .help import ManualCommand, ManualGroup, Summary, summary_of

AnyCommand: TypeAlias = TyperCommand | TyperGroup
P = ParamSpec("P")

_HANDLERS: Final[dict[Callable[..., Any], str]] = {}
_ANY_ARGUMENTS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}


def handled_by(
    target: str, *, requires: tuple[str, ...] = (), extra: str = ""
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Declare a command, whose handler at `target` takes the same parameters.

    The command raises NodeError(BAD_CONFIG) if one of the packages that it `requires` is not installed;
    `extra` is the extra of mandorla that brings them.
    """

    def declare(declaration: Callable[P, None]) -> Callable[P, None]:
        @wraps(declaration)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            for package in requires:
                if find_spec(package) is None:
                    raise not_installed(declaration.__name__, package, f"mandorla[{extra}]")
            resolve_name(target)(*args, **kwargs)

        _HANDLERS[declaration] = target
        return run

    return declare


def handler_of(command: AnyCommand) -> str | None:
    """Return the target of a command's handler; None if the command's own function runs."""
    return _HANDLERS.get(inspect.unwrap(command.callback)) if command.callback else None


def not_installed(command: str, package: str | None, requirement: str) -> NodeError:
    """Return the error for a command whose packages are not installed."""
    return NodeError(
        Code.BAD_CONFIG,
        f"`mandorla {command}` needs {package or 'a package'}, which is not installed: "
        f"pip install '{requirement}'",
    )


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command's name, and where it is: `target` is a function or a `typer.Typer`.

    `requirement` is what pip has to install if the target cannot be imported.
    """

    name: str
    target: str
    panel: str
    summary: str = ""
    """The one-line help; empty if it is to be read from the command."""
    requirement: str = ""

    def load(self) -> AnyCommand:
        """Import the command; one whose packages are not installed reports that when it runs."""
        try:
            found: object = resolve_name(self.target)
        except ImportError as error:
            if not self.requirement:
                raise
            return _as_command(self.name, self._reporter(error), any_arguments=True)
        if isinstance(found, typer.Typer):
            return _require_command(get_command(found))
        if not callable(found):
            raise TypeError(f"{self.target} is no command")
        return _as_command(self.name, found)

    def _reporter(self, error: ImportError) -> Callable[[], None]:
        def report() -> None:
            raise not_installed(self.name, error.name, self.requirement)

        report.__doc__ = f"Not installed: pip install '{self.requirement}'."
        return report


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name. A command is imported when it is looked up; names are listed without an import."""

    def __init__(
        self, entries: Iterable[CommandEntry], plugins: Callable[[], Iterable[CommandEntry]]
    ) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._plugins = plugins
        self._searched = False
        self._loaded: dict[str, AnyCommand] = {}

    def entries(self) -> Iterable[CommandEntry]:
        """Return the entries of all commands, those of other packages last."""
        if not self._searched:
            self._searched = True
            for entry in self._plugins():
                self._entries.setdefault(entry.name, entry)
        return self._entries.values()

    def __getitem__(self, name: str) -> AnyCommand:
        """Return a command; raises KeyError if there is none of that name."""
        if name not in self._loaded:
            if name not in self._entries:
                # Looking for plugins means reading the metadata of every installed package.
                self.entries()
            self._loaded[name] = self._entries[name].load()
        return self._loaded[name]

    def __setitem__(self, name: str, command: AnyCommand) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter([entry.name for entry in self.entries()])

    def __len__(self) -> int:
        return len(list(self.entries()))


class LazyGroup(ManualGroup):
    """A group whose commands are `LazyCommands`. A subclass names them in `lazy_commands`."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.lazy = self.lazy_commands()
        self.commands = self.lazy

    def lazy_commands(self) -> LazyCommands:
        """Return the group's commands."""
        raise NotImplementedError

    def summaries(self, ctx: Any) -> Iterator[Summary]:
        """Yield the panel, name and one-line help of each command; import those that have no help here."""
        for entry in self.lazy.entries():
            text = entry.summary or summary_of(self.lazy[entry.name])
            yield Summary(entry.panel, entry.name, text)


def _as_command(name: str, function: Callable[..., Any], any_arguments: bool = False) -> AnyCommand:
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
    settings = dict(_ANY_ARGUMENTS) if any_arguments else None
    app.command(name, cls=ManualCommand, context_settings=settings)(function)
    return _require_command(get_command(app))


def _require_command(command: object) -> AnyCommand:
    if not isinstance(command, TyperCommand | TyperGroup):
        raise TypeError(f"{command!r} is no command of Typer")
    return command
