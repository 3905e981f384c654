"""The process of a node: signals, garbage collection, threads and open files."""

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
from .service_manager import service_manager

_LOG = structlog.get_logger()

_GC_THRESHOLD: Final = 25_000
"""New objects between two garbage collections. Calls leave garbage in cycles; a collection delays checks."""

_SWITCH_INTERVAL: Final = 0.001
"""Seconds for which a thread keeps the interpreter's lock while another thread waits for it."""

_STOP_PATIENCE: Final = 30.0
"""Seconds after which a node that has to stop ends in the middle of its work. It loses nothing durable."""

_THREADS: Final = 18
"""The number of threads of the node, which is the number of connections of the store."""


async def serve(home: Home, stop: asyncio.Event | None = None) -> None:
    """Run the node until SIGTERM, SIGINT or `stop`.

    Raises NodeError: BAD_HOME if another node serves this home, BAD_CONFIG if the address cannot be used.
    """
    configure_logs(home.settings.log_level, home.settings.log_format)
    # Loaded modules stay for the life of the process, so no collection has to look at them. The threshold is
    # high, because thousands of rows are allocated at once and have no cycles.
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    # A check waits for the interpreter's lock whenever another thread runs Python code.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    # Python's default can be six threads, and the rounds of one peer can occupy four of them for minutes.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="node"))
    _raise_file_limit()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with service_manager() as manager, running(home, ahead=True, watch=home.settings.watch.enabled):
        manager.ready()
        await stop.wait()
        manager.stopping()
        _limit_stop_time()


def _limit_stop_time() -> None:
    """End this process after a time limit.

    Otherwise the process would wait for its threads, which cannot be stopped. A thread may be comparing
    millions of tags.
    """

    def end() -> None:
        _LOG.warning("stopped in the middle of work", seconds=_STOP_PATIENCE)
        os._exit(0)

    timer = threading.Timer(_STOP_PATIENCE, end)
    timer.daemon = True
    timer.start()


def _raise_file_limit() -> None:
    """Raise the limit of open files and connections to the maximum: the default can be 1,024."""
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
