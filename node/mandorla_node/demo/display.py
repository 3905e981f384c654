"""Where the demo speaks: live progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..terminal import console, duration, safe

_TITLE: Final = 44
_TIME: Final = 9
_BAR: Final = 16


class Step:
    """A step that is under way."""

    def __init__(self, title: str, progress: Progress | None) -> None:
        self.said = ""
        self._progress = progress
        self._task = progress.add_task(title, total=None, what="") if progress else None

    def show(self, what: str, done: int, total: int) -> None:
        """Show how far it is."""
        if self._progress and self._task is not None:
            self._progress.update(self._task, what=what, completed=done, total=total or None)

    def note(self, said: str) -> None:
        """Say what came of it, once it is over."""
        self.said = said


class Stage:
    """Prints the demo; `quiet` leaves standard output to the JSON, and shows steps on standard error."""

    def __init__(self, quiet: bool) -> None:
        self._console = console(stderr=quiet)
        self._quiet = quiet
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal

    @property
    def width(self) -> int:
        """Columns that there are to print in."""
        return self._console.width

    def say(self, *parts: RenderableType, style: str = "") -> None:
        """Print something that is no step."""
        if not self._quiet:
            self._console.print(*parts, sep="", style=style or None)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while it runs, and a line for it once it is done."""
        started = time.monotonic()
        if self._live:
            columns = (
                TextColumn("  {task.description}"),
                BarColumn(_BAR),
                TimeElapsedColumn(),
                TextColumn("{task.fields[what]}", style="dim"),
            )
            with Progress(*columns, console=self._console, transient=True) as progress:
                step = Step(f"{title:{_TITLE - 2}}"[: _TITLE + 4], progress)
                yield step
        else:
            step = Step(title, None)
            yield step
        took = duration(time.monotonic() - started)
        line = safe(f"  {title:{_TITLE}}")
        line.append(f"{took:>{_TIME}}", style="dim")
        line.append(f"  {step.said}")
        self._console.print(line)
        sys.stdout.flush()
