"""CPU time, memory and files of this process, under the names that Prometheus' libraries use.

The collector of prometheus_client reads the time of boot from /proc/stat, and returns nothing where /proc has
only processes, as under systemd's ProcSubset=pid. This one does not need that file.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..core.clock import system_clock

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """The CPU time and memory of a process. Times are seconds, memory is bytes."""

    cpu: float
    resident: int
    virtual: int
    started_after_boot: float


def read_usage(proc: Path = _PROC) -> Usage:
    """Return the usage of this process; raises OSError if /proc cannot be read."""
    # The program's name, in parentheses, may contain any character; no parenthesis follows it.
    fields = (proc / "self/stat").read_bytes().rpartition(b")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(
        cpu=(int(fields[11]) + int(fields[12])) / ticks,
        resident=int(fields[21]) * resource.getpagesize(),
        virtual=int(fields[20]),
        started_after_boot=int(fields[19]) / ticks,
    )


class ProcessCollector(Collector):
    """Export the usage of this process; nothing if /proc cannot be read."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        try:
            usage = read_usage(self._proc)
            files = len(os.listdir(self._proc / "self/fd"))  # noqa: PTH208 - only their number counts
        except OSError:
            return []
        booted = system_clock() - time.clock_gettime(time.CLOCK_BOOTTIME)
        most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        gauges = {
            "virtual_memory_bytes": ("Virtual memory size in bytes", usage.virtual),
            "resident_memory_bytes": ("Resident memory size in bytes", usage.resident),
            "start_time_seconds": (
                "When the process started, in Unix seconds",
                booted + usage.started_after_boot,
            ),
            "open_fds": ("Open file descriptors", files),
            "max_fds": ("How many file descriptors may be open", most_files),
        }
        return [
            *(GaugeMetricFamily(f"process_{name}", text, value) for name, (text, value) in gauges.items()),
            CounterMetricFamily("process_cpu_seconds", "CPU time spent, in seconds", usage.cpu),
        ]
