"""What a node says of its own process, where /proc shows all of the machine and where it does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from mandorla_node.telemetry import process


def values(collector: process.ProcessCollector | ProcessCollector) -> dict[str, float]:
    return {
        sample.name: sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


def test_it_says_what_the_libraries_collector_says() -> None:
    theirs, ours = values(ProcessCollector(registry=CollectorRegistry())), values(process.ProcessCollector())
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=0.2, abs=2), name


def test_it_says_so_where_processes_are_all_that_is_shown(folder: Path) -> None:
    """systemd's ProcSubset=pid: no /proc/stat, and no more than processes."""
    (folder / "self").symlink_to("/proc/self")
    shown = values(process.ProcessCollector(folder))
    assert shown["process_resident_memory_bytes"] > 1_000_000
    assert shown["process_cpu_seconds_total"] > 0
    assert 0 < shown["process_start_time_seconds"] <= time.time() + 1


def test_it_says_nothing_where_the_system_does_not_tell(folder: Path) -> None:
    assert values(process.ProcessCollector(folder)) == {}
    with pytest.raises(OSError, match="stat"):
        process.read_usage(folder)
