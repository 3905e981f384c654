"""`mandorla demo`: three labs on one machine find the attackers that they share.

Everything is real but the labs: three operating-system processes with their own homes and keys, gRPC over
mutual TLS between them, and lists of disposable mail domains that three sets of people keep.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from mandorla_protocol.errors import Code, NodeError

from . import account, lists, play
from .stage import Stage


def run(quick: bool, keep: bool, as_json: bool) -> None:
    """Run the demo and tell what happened; leave no process and, unless `keep`, no file behind.

    Raises InputError(BAD_CONFIG) if the lists are not installed, NodeError(CHECK_FAILED) if what the labs
    found is not the plain intersection of their lists, and whatever keeps a round from being committed.
    """
    stage = Stage(quiet=as_json)
    started = time.monotonic()
    labs = lists.load(quick)
    account.introduce(stage, labs, quick)
    folder = Path(tempfile.mkdtemp(prefix="mandorla-demo-"))
    try:
        result = _until_stopped(labs, folder, stage)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    if as_json:
        account.tell_program(labs, result, seconds)
    else:
        account.tell(stage, labs, result, seconds, folder if keep else None)
    if not result.agrees:
        raise NodeError(Code.CHECK_FAILED, "what the labs found is not the plain intersection of their lists")


def _until_stopped(labs: tuple[lists.Lab, ...], folder: Path, stage: Stage) -> play.Result:
    """Play the demo, and end it as cleanly on SIGTERM or SIGHUP as on Ctrl-C."""
    received: list[int] = []

    async def stoppable() -> play.Result:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            received.append(number)
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop, number)
        return await play.play(labs, folder, stage)

    try:
        return asyncio.run(stoppable())
    except asyncio.CancelledError:
        sys.exit(128 + received[0] if received else 1)
