"""The process of a node: signals, garbage, threads and files, around the running node."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from ..home.folder import Home
from ..telemetry.logs import configure_logs
from .node import running
from .service_manager import supervised

_LOG = structlog.get_logger()

_COLLECT_EVERY: Final = 25_000
"""Objects after which Python looks for garbage: calls leave some in cycles, and checks wait meanwhile."""

_SWITCH_INTERVAL: Final = 0.001
"""Seconds that a thread keeps the interpreter's lock while another wants it."""

_STOPPED_WITHIN: Final = 30.0
"""Seconds after which a node that is asked to stop ends, whatever it still does: it loses nothing by that."""

_THREADS: Final = 18
"""As many threads as the store has connections."""


async def serve(home: Home, stop: asyncio.Event | None = None) -> None:
    """Run the node until SIGTERM, SIGINT or `stop`.

    Raises NodeError: BAD_HOME if another node serves this home, BAD_CONFIG if the address cannot be used.
    """
    configure_logs(home.settings.log_level, home.settings.log_format)
    # What is loaded now stays, and is never garbage. Thousands of rows hold no cycles: they are no reason
    # to look.
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    # A check waits for the interpreter's lock whenever another thread works in Python.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    # Python's own number of threads can be six, and the rounds of one peer can occupy four of them for
    # minutes.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="node"))
    _allow_files()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with supervised() as manager, running(home, ahead=True, watch=home.settings.watch.enabled):
        manager.ready()
        await stop.wait()
        manager.stopping()
        _end_in_time()


def _end_in_time() -> None:
    """End this process within a time, though a thread may be comparing millions.

    Threads cannot be stopped.
    """

    def end() -> None:
        _LOG.warning("stopped in the middle of work", seconds=_STOPPED_WITHIN)
        os._exit(0)

    timer = threading.Timer(_STOPPED_WITHIN, end)
    timer.daemon = True
    timer.start()


def _allow_files() -> None:
    """Open as many files and connections as this process may: its limit at the start can be 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
