"""`mandorla extract` on a made-up log: rows a second, peak memory, and the same bytes from every engine.

    python -m benchmarks.extract [--rows N] [--log FILE] [--engine polars] [--engine ray] [--types TYPES]

The log is made if FILE is not there yet: ten million rows are 5 GB of JSON Lines. Memory is what all
processes of a run have for themselves, and their share of what they have in common (PSS), sampled twice a
second.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import request_log

COLUMNS = "{:<8} {:<52} {:>8} {:>8} {:>10} {:>8} {:>12}  {}"
TYPES = ("mailbox,mail-domain,ipv4,behaviour,request-sequence", "prompt-template")
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def family(root: int) -> set[int]:
    """Return a process and all that it started, directly or not (Linux)."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found, waiting = set(), [root]
    while waiting:
        process = waiting.pop()
        found.add(process)
        waiting += [child for child, parent in parents.items() if parent == process and child not in found]
    return found


def memory(root: int) -> int:
    """Return the KiB that a process and its descendants hold."""
    total = 0
    for process in family(root):
        try:
            match = _PSS.search(Path(f"/proc/{process}/smaps_rollup").read_text())
        except OSError:
            continue
        total += int(match[1]) if match else 0
    return total


def measure(log: Path, engine: str, types: str, workers: int, folder: Path) -> None:
    """Run an extraction, and print a row."""
    out = folder / f"{engine}.parquet"
    command = [sys.executable, "-m", "mandorla_node.cli", "extract", str(log), "--out", str(out), "--json"]
    # One key, so that groups have the same names in every run.
    command += ["--key", str(log.with_suffix(".key"))]
    command += ["--engine", engine, "--types", types, "--workers", str(workers)]
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    ended, peak = threading.Event(), [0]

    def sample() -> None:
        while not ended.wait(0.5):
            peak[0] = max(peak[0], memory(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    said, _ = process.communicate()
    seconds = time.monotonic() - started
    ended.set()
    sampler.join()
    report = json.loads(said)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()[:16]
    speed = f"{report['rows'] / seconds:,.0f}"
    print(
        COLUMNS.format(
            engine, types, workers, f"{seconds:.0f}", speed, peak[0] // 1024, f"{report['written']:,}", digest
        ),
        flush=True,
    )


def main() -> None:
    """Measure each engine on each choice of types."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "mandorla-requests.jsonl")
    parser.add_argument("--engine", action="append", choices=("polars", "ray"))
    parser.add_argument("--types", action="append")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if not arguments.log.exists():
        request_log.write(arguments.rows, arguments.log)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {arguments.log.stat().st_size / 1e9:.1f} GB of log",
        flush=True,
    )
    print(
        COLUMNS.format("engine", "types", "workers", "s", "rows/s", "MiB", "written", "SHA-256"), flush=True
    )
    for types in arguments.types or TYPES:
        for engine in arguments.engine or ("polars", "ray"):
            with tempfile.TemporaryDirectory(prefix="mandorla-", dir=arguments.log.parent) as folder:
                measure(arguments.log, engine, types, arguments.workers, Path(folder))


if __name__ == "__main__":
    main()
