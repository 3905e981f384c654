"""The layout of a manual page on a terminal, or in a pipe."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.text import Text
from typer.core import TyperArgument, TyperOption

from ..terminal import console, safe
from .help import Entry, ManualCommand, ManualGroup, manual_of, name_of

_WIDEST: Final = 100
"""Columns beyond which lines are hard to read."""


def print_page(command: ManualCommand | ManualGroup, ctx: Any) -> None:
    """Print the page of a command to standard output."""
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
            # A folded command line cannot be copied.
            out.print(safe(f"    {line}", "bold"), soft_wrap=True)
    _section(out, "Exit status", page.exit_status, _widest(page.exit_status))
    _section(out, "Environment", page.environment, _widest(page.environment))
    _section(out, "Files", page.files, _widest(page.files))
    if page.see:
        _title(out, "See also")
        _paragraph(out, page.see, 2)


def _parameters(command: ManualCommand | ManualGroup, ctx: Any) -> Iterable[tuple[str, list[Entry]]]:
    """Return the arguments, the options, and the options with a panel of their own, by title."""
    sections: dict[str, list[Entry]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if isinstance(param, TyperArgument | TyperOption) and (record := param.get_help_record(ctx)):
            name, text = record
            if isinstance(param, TyperArgument):
                title, name = "Arguments", name_of(param)
            else:
                title = param.rich_help_panel or "Options"
            sections.setdefault(title, []).append((name, text.replace("  [", " [")))
    return [(title, entries) for title, entries in sections.items() if entries]


def _commands(command: ManualCommand | ManualGroup, ctx: Any) -> Iterable[tuple[str, list[Entry]]]:
    """Return a group's commands by panel."""
    panels: dict[str, list[Entry]] = {}
    if isinstance(command, ManualGroup):
        for summary in command.summaries(ctx):
            panels.setdefault(summary.panel, []).append((summary.name, summary.text))
    return panels.items()


def _widest(entries: Iterable[Entry]) -> int:
    return max((len(name) for name, _ in entries), default=0)


def _section(out: Console, title: str, entries: Iterable[Entry], widest: int) -> None:
    """Print names beside their meanings, under a title; print nothing if there is no entry."""
    for number, (name, text) in enumerate(entries):
        if not number:
            _title(out, title)
        _paragraph(out, text, widest + 4, name)


def _title(out: Console, title: str) -> None:
    out.print()
    out.print(title, style="bold")


def _paragraph(out: Console, text: str, indent: int, name: str = "") -> None:
    """Print a text, folded and indented, with a name before its first line."""
    for number, line in enumerate(_styled(out, " ".join(text.split())).wrap(out, out.width - indent)):
        line.rstrip()
        before = f"  {name}" if name and not number else ""
        out.print(safe("").append(before.ljust(indent), "cyan").append(line), soft_wrap=True)


def _styled(out: Console, text: str) -> Text:
    """Return a text whose parts between backticks are bold; off a terminal the backticks stay."""
    if not out.is_terminal:
        return safe(text)
    styled = safe("")
    for number, part in enumerate(text.split("`")):
        styled.append(safe(part, "bold" if number % 2 else ""))
    return styled
