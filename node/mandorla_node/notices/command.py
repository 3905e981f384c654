"""A command that is run for each notice, which it reads from its standard input."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .receiver import NotDeliveredError


class Command:
    """A receiver that is a program; it acknowledges with exit status 0."""

    name = "command"

    def __init__(self, arguments: Sequence[str], home: Path, timeout: float) -> None:
        self._arguments = tuple(arguments)
        self._home = home
        self._timeout = timeout

    async def deliver(self, notice_id: str, document: bytes) -> None:
        """Run the command, in a process group of its own; raises NotDeliveredError unless it ends with 0."""
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
            raise NotDeliveredError("it cannot be run") from None
        try:
            async with asyncio.timeout(self._timeout):
                await process.communicate(document)
        except TimeoutError:
            raise NotDeliveredError("it did not end in time") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise NotDeliveredError(f"exit status {process.returncode}")


def _environment() -> dict[str, str]:
    """Return the environment without what configures the node, passphrases among it."""
    secret = ("MANDORLA_", "CREDENTIALS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(secret)}
