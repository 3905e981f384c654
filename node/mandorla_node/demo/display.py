"""The output of the demo: live progress on a terminal, plain lines elsewhere."""

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
    """A step of the demo."""

    def __init__(self, title: str, progress: Progress | None) -> None:
        self.result = ""
        self._progress = progress
        self._task = progress.add_task(title, total=None, what="") if progress else None

    def show(self, what: str, done: int, total: int) -> None:
        """Show the progress of the step."""
        if self._progress and self._task is not None:
            self._progress.update(self._task, what=what, completed=done, total=total or None)

    def note(self, result: str) -> None:
        """Set the result that is printed at the end of the step."""
        self.result = result


class Display:
    """Prints the demo; `quiet` keeps standard output for JSON, and shows steps on standard error."""

    def __init__(self, quiet: bool) -> None:
        self._console = console(stderr=quiet)
        self._quiet = quiet
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal

    @property
    def width(self) -> int:
        """The number of columns."""
        return self._console.width

    def print(self, *parts: RenderableType, style: str = "") -> None:
        """Print text that is not a step."""
        if not self._quiet:
            self._console.print(*parts, sep="", style=style or None)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show the progress of a step while it runs, and print its result at the end."""
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
        line.append(f"  {step.result}")
        self._console.print(line)
        sys.stdout.flush()
