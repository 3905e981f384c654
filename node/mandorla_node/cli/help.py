"""`--help` as a short manual page: what a command does and takes, and then examples of it.

A command is decorated with what its page says beyond its docstring and its options, and is made with the
class `ManualCommand`, which lays the page out.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from mandorla_protocol.errors import Code

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_WIDEST: Final = 100
"""Columns beyond which lines are hard to read."""

Command = TypeVar("Command", bound=Callable[..., None])
Entry = tuple[str, str]


@dataclass(frozen=True)
class Manual:
    """What a page says beyond the docstring and the options.

    An example is what it is for, and its command line. The others are names with what they stand for.
    """

    examples: tuple[Entry, ...] = ()
    exit_status: tuple[Entry, ...] = ()
    environment: tuple[Entry, ...] = ()
    files: tuple[Entry, ...] = ()
    see: str = ""


_NOTHING: Final = Manual()
_MANUALS: Final[dict[Callable[..., Any], Manual]] = {}


def manual(
    *examples: Entry,
    exit_status: tuple[Entry, ...] = (),
    environment: tuple[Entry, ...] = (),
    files: tuple[Entry, ...] = (),
    see: str = "",
) -> Callable[[Command], Command]:
    """Give a command its examples, and whatever else its page should say."""

    def keep(command: Command) -> Command:
        _MANUALS[command] = Manual(examples, exit_status, environment, files, see)
        return command

    return keep


def manual_of(command: TyperCommand | TyperGroup) -> Manual:
    """Return what a command was decorated with."""
    return _MANUALS.get(inspect.unwrap(command.callback), _NOTHING) if command.callback else _NOTHING


def status(code: Code, when: str) -> Entry:
    """Return an exit status that a page names."""
    return str(code.info.exit_status), f"{code.name}: {when}"


class ManualCommand(TyperCommand):
    """A command whose help is a manual page."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands after the command's name."""
        return ["[OPTIONS]", *(_usage(param) for param in self.params if isinstance(param, TyperArgument))]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page."""
        _print_page(self, ctx)


class ManualGroup(TyperGroup):
    """A group of commands whose help is a manual page."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands after the group's name."""
        return ["[OPTIONS]", self.subcommand_metavar]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page."""
        _print_page(self, ctx)


def _print_page(command: ManualCommand | ManualGroup, ctx: Any) -> None:
    from ..terminal import console, safe

    out = console(width=min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))
    page = manual_of(command)
    _paragraph(out, f"Usage: {ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}", 0)
    for paragraph in (command.help or "").split("\n\n"):
        out.print()
        _paragraph(out, paragraph, 2)
    sections = [*_parameters(command, ctx), *_commands(command, ctx)]
    widest = _widest(entry for _, entries in sections for entry in entries)
    for title, entries in sections:
        _section(out, title, entries, widest)
    if page.examples:
        _title(out, "Examples")
    for what, lines in page.examples:
        _paragraph(out, what, 2)
        for line in lines.split("\n"):
            # One that is folded is none to copy.
            out.print(safe(f"    {line}", "bold"), soft_wrap=True)
    _section(out, "Exit status", page.exit_status, _widest(page.exit_status))
    _section(out, "Environment", page.environment, _widest(page.environment))
    _section(out, "Files", page.files, _widest(page.files))
    if page.see:
        _title(out, "See also")
        _paragraph(out, page.see, 2)


def _parameters(command: ManualCommand | ManualGroup, ctx: Any) -> Iterable[tuple[str, list[Entry]]]:
    """Return arguments, options, and options under titles of their own."""
    sections: dict[str, list[Entry]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if isinstance(param, TyperArgument | TyperOption) and (record := param.get_help_record(ctx)):
            name, said = record
            if isinstance(param, TyperArgument):
                title, name = "Arguments", _named(param)
            else:
                title = param.rich_help_panel or "Options"
            sections.setdefault(title, []).append((name, said.replace("  [", " [")))
    return [(title, entries) for title, entries in sections.items() if entries]


def _commands(command: ManualCommand | ManualGroup, ctx: Any) -> Iterable[tuple[str, list[Entry]]]:
    """Return a group's commands, under the titles that they were given."""
    sections: dict[str, list[Entry]] = {}
    if isinstance(command, ManualGroup):
        for name in command.list_commands(ctx):
            one = command.get_command(ctx, name)
            if isinstance(one, TyperCommand | TyperGroup) and not one.hidden:
                first, _, _ = (one.help or "").partition("\n\n")
                title = one.rich_help_panel
                sections.setdefault(title if isinstance(title, str) else "Commands", []).append((name, first))
    return sections.items()


def _named(argument: TyperArgument) -> str:
    return argument.metavar or f"{argument.name}".upper() + ("" if argument.nargs == 1 else "...")


def _usage(argument: TyperArgument) -> str:
    return _named(argument) if argument.required else f"[{_named(argument)}]"


def _widest(entries: Iterable[Entry]) -> int:
    return max((len(name) for name, _ in entries), default=0)


def _section(out: Console, title: str, entries: Iterable[Entry], widest: int) -> None:
    """Print names beside what they stand for, under a title, if there are any."""
    for number, (name, said) in enumerate(entries):
        if not number:
            _title(out, title)
        _paragraph(out, said, widest + 4, name)


def _title(out: Console, title: str) -> None:
    out.print()
    out.print(title, style="bold")


def _paragraph(out: Console, text: str, indent: int, name: str = "") -> None:
    """Print a text folded and moved to the right, with a name before its first line."""
    from ..terminal import safe

    for number, line in enumerate(_styled(out, " ".join(text.split())).wrap(out, out.width - indent)):
        line.rstrip()
        before = f"  {name}" if name and not number else ""
        out.print(safe("").append(before.ljust(indent), "cyan").append(line), soft_wrap=True)


def _styled(out: Console, text: str) -> Text:
    """Return a text in which what stands between backticks is bold, or keeps them where nothing is."""
    from ..terminal import safe

    if not out.is_terminal:
        return safe(text)
    made = safe("")
    for number, part in enumerate(text.split("`")):
        made.append(safe(part, "bold" if number % 2 else ""))
    return made
