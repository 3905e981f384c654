"""The demo from its start to its exit status, however it ends."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mandorla_protocol.errors import Code, NodeError

from . import lists, report
from .display import Display
from .lists import Lab
from .steps import Result, run_steps


def run(quick: bool, keep: bool, as_json: bool) -> None:
    """Run the demo and print its report; leave no process and, unless `keep`, no file behind.

    Raises InputError(BAD_CONFIG) if the lists are not installed, NodeError(CHECK_FAILED) if the labs' matches
    are not the plain intersection of their lists, and MandorlaError if a step fails.
    """
    display = Display(quiet=as_json)
    started = time.monotonic()
    labs = lists.load(quick)
    report.introduce(display, labs, quick)
    folder = Path(tempfile.mkdtemp(prefix="mandorla-demo-"))
    try:
        result = _run_until_stopped(labs, folder, display)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    if as_json:
        report.write_json_report(labs, result, seconds)
    else:
        report.print_report(display, labs, result, seconds, folder if keep else None)
    if not result.agrees:
        raise NodeError(Code.CHECK_FAILED, "the labs' matches are not the plain intersection of their lists")


def _run_until_stopped(labs: Sequence[Lab], folder: Path, display: Display) -> Result:
    """Run the steps; SIGTERM and SIGHUP end them as cleanly as Ctrl-C does."""
    received: list[int] = []

    async def stoppable() -> Result:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            received.append(number)
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop, number)
        return await run_steps(labs, folder, display)

    try:
        return asyncio.run(stoppable())
    except asyncio.CancelledError:
        sys.exit(128 + received[0] if received else 1)
