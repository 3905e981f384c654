"""A command that the node runs for each notice; it reads the notice from standard input."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .receiver import NotDeliveredError


class Command:
    """A receiver that runs a program, which acknowledges a notice by exit status 0."""

    name = "command"

    def __init__(self, arguments: Sequence[str], home: Path, timeout: float) -> None:
        self._arguments = tuple(arguments)
        self._home = home
        self._timeout = timeout

    async def deliver(self, notice_id: str, document: bytes) -> None:
        """Run the command in its own process group; raises NotDeliveredError unless its exit status is 0."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=self._home,
                env={**_environment(), "WEBHOOK_ID": notice_id},
                start_new_session=True,
            )
        except OSError:
            raise NotDeliveredError("the command cannot be run") from None
        try:
            async with asyncio.timeout(self._timeout):
                await process.communicate(document)
        except TimeoutError:
            raise NotDeliveredError("the command did not end in time") from None
        finally:
            if process.returncode is None:
                # The whole group, since the command may have started other processes.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise NotDeliveredError(f"exit status {process.returncode}")


def _environment() -> dict[str, str]:
    """Return the environment without the node's settings, among which are passphrases."""
    secret = ("MANDORLA_", "CREDENTIALS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(secret)}
