"""The simulator's February preset: 16 million exchanges, 24,000 accounts, three labs, 300,000 people.

    python benchmarks/simulator.py

Each run is a process of its own, timed from its start to its end: imports, the people, the events and the
measures. The last line is the whole study, as `mandorla simulate rotation-2026-02 --out DIR` runs it.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MANDORLA = [sys.executable, "-m", "mandorla_node.cli", "simulate", "rotation-2026-02"]
COLUMNS = "{:<24} {:>9} {:>9} {:>9} {:>14} {:>10} {:>9}"
REPEATS = 3


def measure(name: str, *arguments: str, repeats: int = REPEATS) -> None:
    """Run the preset some times, and print a row."""
    seconds, exchanges, accounts = [], 0.0, 0.0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="md-") as folder:
            started = time.monotonic()
            subprocess.run([*MANDORLA, *arguments, "--out", folder], check=True, capture_output=True)
            seconds.append(time.monotonic() - started)
            results = json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))
            exchanges, accounts = (results["cells"][0][key]["mean"] for key in ("exchanges", "accounts"))
    # Of the largest process so far; a study has one for each core beside the first.
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    row = (statistics.median(seconds), min(seconds), max(seconds))
    times = (f"{value:.1f}" for value in row)
    print(COLUMNS.format(name, *times, f"{exchanges:,.0f}", f"{accounts:,.0f}", memory))


def main() -> None:
    """Measure one run of each scheme, and the whole study."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(COLUMNS.format("sharing", "median s", "min", "max", "exchanges", "accounts", "MiB"))
    for scheme in ("none", "mandorla-batch/1h", "mandorla-watch", "plaintext"):
        # The comparisons with other attackers are the study's; here each command is one run.
        measure(scheme, "--sharing", scheme, "--seeds", "1", "--workers", "1", "--attack", "configured")
    measure("the whole study", repeats=1)


if __name__ == "__main__":
    main()
