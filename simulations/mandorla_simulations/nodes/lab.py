"""A lab's node under simulated time: the process that `nodes.cluster` starts for each lab.

It serves a home as `mandorla serve` does, but for the clock: each line of its input is the time, in Unix
seconds, which it confirms. It ends when its input does, and so with whoever started it, or by SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from mandorla_node.home import Home
from mandorla_node.logs import configure_logs
from mandorla_node.serve import running

READY = b"ready\n"
SET = b"set\n"


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the time, in Unix seconds."""
        return self.now


async def _serve(path: Path, now: int) -> None:
    home, clock = Home.open(path), SetClock(now)
    configure_logs(home.settings.log_level)
    async with running(home, clock):
        _say(READY)
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        loop.add_signal_handler(signal.SIGTERM, lines.feed_eof)
        while line := await lines.readline():
            clock.now = int(line)
            _say(SET)


def _say(word: bytes) -> None:
    sys.stdout.buffer.write(word)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
