"""`--help` as a short manual page: what a command does and takes, and then examples of it.

`manual` gives a command the parts of its page that are neither its docstring nor its parameters. The classes
`ManualCommand` and `ManualGroup` print the page.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, Final, NamedTuple, TypeVar

from typer.core import TyperArgument, TyperCommand, TyperGroup

from mandorla_protocol.errors import Code

Command = TypeVar("Command", bound=Callable[..., None])
Entry = tuple[str, str]


@dataclass(frozen=True)
class Manual:
    """The parts of a page that are neither the docstring nor the parameters.

    An example is its purpose and its command line. The other entries are a name and its meaning.
    """

    examples: tuple[Entry, ...] = ()
    exit_status: tuple[Entry, ...] = ()
    environment: tuple[Entry, ...] = ()
    files: tuple[Entry, ...] = ()
    see: str = ""


_EMPTY: Final = Manual()
_MANUALS: Final[dict[Callable[..., Any], Manual]] = {}


def manual(
    *examples: Entry,
    exit_status: tuple[Entry, ...] = (),
    environment: tuple[Entry, ...] = (),
    files: tuple[Entry, ...] = (),
    see: str = "",
) -> Callable[[Command], Command]:
    """Give a command its examples, and the other parts of its page."""

    def keep(command: Command) -> Command:
        _MANUALS[command] = Manual(examples, exit_status, environment, files, see)
        return command

    return keep


def manual_of(command: TyperCommand | TyperGroup) -> Manual:
    """Return the manual of a command; an empty one if it was not given any."""
    return _MANUALS.get(inspect.unwrap(command.callback), _EMPTY) if command.callback else _EMPTY


def status(code: Code, when: str) -> Entry:
    """Return the entry for an exit status."""
    return str(code.info.exit_status), f"{code.name}: {when}"


class Summary(NamedTuple):
    """A command in the list of its group."""

    panel: str
    name: str
    text: str


def summary_of(command: TyperCommand | TyperGroup) -> str:
    """Return a command's one-line help: the first paragraph of its docstring."""
    return (command.help or "").partition("\n\n")[0]


class ManualCommand(TyperCommand):
    """A command whose help is a manual page."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command's name."""
        return ["[OPTIONS]", *(usage_of(param) for param in self.params if isinstance(param, TyperArgument))]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page."""
        print_page(self, ctx)


class ManualGroup(TyperGroup):
    """A group of commands whose help is a manual page."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the group's name."""
        return ["[OPTIONS]", self.subcommand_metavar]

    def summaries(self, ctx: Any) -> Iterator[Summary]:
        """Yield the panel, name and one-line help of each command."""
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if isinstance(command, TyperCommand | TyperGroup) and not command.hidden:
                panel = command.rich_help_panel
                yield Summary(panel if isinstance(panel, str) else "Commands", name, summary_of(command))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page."""
        print_page(self, ctx)


def print_page(command: ManualCommand | ManualGroup, ctx: Any) -> None:
    """Print a command's page. Rich is loaded here, and not for a completion."""
    resolve_name("mandorla_node.cli.help_page:print_page")(command, ctx)


def name_of(argument: TyperArgument) -> str:
    """Return the name of an argument in a page."""
    return argument.metavar or f"{argument.name}".upper() + ("" if argument.nargs == 1 else "...")


def usage_of(argument: TyperArgument) -> str:
    """Return an argument as a usage line shows it."""
    return name_of(argument) if argument.required else f"[{name_of(argument)}]"
