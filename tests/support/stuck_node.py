"""A node in which a thread never ends its work.

python -m tests.support.stuck_node HOME
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from mandorla_node.app import process
from mandorla_node.home.folder import Home
from mandorla_node.rounds.responder import Responder


async def stop(_: Responder) -> None:
    """Block a thread forever."""
    await asyncio.to_thread(threading.Event().wait)


def main(home: Path) -> None:
    """Serve until stopped, and no longer than a second beyond."""
    Responder.stop = stop  # type: ignore[method-assign]
    process._STOP_PATIENCE = 1.0
    asyncio.run(process.serve(Home.open(home)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
