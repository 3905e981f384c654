"""`mandorla serve`, measured: how much of its CPU time are the engine's operations?

    python benchmarks/serve_profile.py FILE CORES serve --home HOME

It is the command line as it is, with a clock around each operation of the engine. The clock is that of the
calling thread's CPU time (`time.thread_time`), and the native engine, as nodes use it, runs a batch on the
thread that calls it; so what is summed is the operation itself, not waiting for a core or for Python's lock.
FILE is written when the first table is ready, and on SIGUSR1. The node runs on the first CORES cores.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mandorla_node.cli import main
from mandorla_node.tables.builder import TableBuilder
from mandorla_protocol.engine.loader import load_engine

OPERATIONS = (
    "derive_key_pair",
    "blind",
    "decode_elements",
    "evaluate_and_prove",
    "verify",
    "verify_and_finalize",
    "evaluate",
)


class Meter:
    """What a node has done since it began its first table."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._curve = 0.0
        self._asked = 0
        self._begun: float | None = None
        self._ready: float | None = None
        self._cpu_before = 0.0

    def timed(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        """Add the CPU time of an engine's operation."""

        @functools.wraps(operation)
        def measured(*arguments: Any) -> Any:
            start = time.thread_time()
            try:
                return operation(*arguments)
            finally:
                spent = time.thread_time() - start
                with self._lock:
                    self._curve += spent

        return measured

    def preparing(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        """Note when the first table is begun, and when it is ready."""

        @functools.wraps(prepare)
        async def noted(*arguments: Any) -> Any:
            if self._begun is None:
                self._begun, self._cpu_before = time.monotonic(), time.process_time()
            table = await prepare(*arguments)
            if self._ready is None:
                self._ready = time.monotonic()
                self._write()
            return table

        return noted

    def answer(self, *_: object) -> None:
        """Write how things stand; a handler of signals, which Python runs between two of its own steps."""
        self._asked += 1
        self._write()

    def _write(self) -> None:
        state = {
            "asked": self._asked,
            "begun": self._begun,
            "ready": self._ready,
            "curve": self._curve,
            "cpu": time.process_time() - self._cpu_before,
        }
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(state), encoding="ascii")
        written.replace(self._file)


def serve() -> None:
    """Run the command line with the clocks in place."""
    file, cores, *arguments = sys.argv[1:]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    meter = Meter(Path(file))
    engine = type(load_engine(os.environ.get("MANDORLA_ENGINE", "auto")))
    for name in OPERATIONS:
        setattr(engine, name, meter.timed(getattr(engine, name)))
    TableBuilder.prepare = meter.preparing(TableBuilder.prepare)
    signal.signal(signal.SIGUSR1, meter.answer)
    main(arguments)


if __name__ == "__main__":
    serve()
