"""A shared round between two real nodes, at several sizes: time, bytes and peak memory.

    python benchmarks/rounds.py 4096 16384 65536

Both nodes are processes on this machine, with mutual TLS, stores on disk and proofs checked. Each lab flags n
addresses, half of them in common. The time is that of `mandorla round`, from the first word to the close; it
includes both tables and both directions. Memory is the peak of a node's main process, and of its workers.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MANDORLA = [sys.executable, "-m", "mandorla_node.cli"]
COLUMNS = "{:>10} {:>9} {:>12} {:>10} {:>10} {:>12} {:>14}"


def run(*arguments: str) -> str:
    """Run a command of mandorla and return what it prints."""
    return subprocess.run([*MANDORLA, *arguments], check=True, capture_output=True, text=True).stdout


def peak_memory(process: int) -> int:
    """Return a process's peak resident size in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def children(process: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(folder: Path, size: int) -> dict[str, Any]:
    """Run one round over `size` addresses a lab and return its figures."""
    homes = [folder / "lab-a", folder / "lab-b"]
    for number, home in enumerate(homes):
        run("init", str(home), "--lab", home.name, "--listen", f"127.0.0.1:{free_port()}")
        listed = folder / f"{home.name}.txt"
        values = range(number * size // 2, number * size // 2 + size)
        listed.write_text("\n".join(f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in values))
        run("ingest", str(listed), "--as", "flagged", "--type", "ipv4", "--home", str(home))
        (folder / f"{home.name}.json").write_text(run("card", "--home", str(home)))
    for home, other in (homes, homes[::-1]):
        run("peer", "add", str(folder / f"{other.name}.json"), "--home", str(home))
    nodes = [
        subprocess.Popen([*MANDORLA, "serve", "--home", str(home)], stderr=subprocess.DEVNULL)
        for home in homes
    ]
    try:
        while not all((home / "operator.sock").exists() for home in homes):
            time.sleep(0.1)
        started = time.monotonic()
        arguments = ("--kind", "shared", "--collection", "infrastructure", "--home", str(homes[0]), "--json")
        (result,) = json.loads(run("round", "lab-b", *arguments))
        seconds = time.monotonic() - started
        if result["matches"] != size - size // 2:
            raise SystemExit(f"{result['matches']} matches instead of {size - size // 2}")
        return {
            "size": size,
            "seconds": seconds,
            "sent": result["bytes_sent"],
            "received": result["bytes_received"],
            "node": max(peak_memory(node.pid) for node in nodes),
            "workers": max((peak_memory(pid) for node in nodes for pid in children(node.pid)), default=0),
        }
    finally:
        for node in nodes:
            node.terminate()
        for node in nodes:
            node.wait(timeout=60)


def main() -> None:
    """Measure each size and print a table."""
    checks = json.loads(run("doctor", "--json"))["checks"]
    engine = next(check["said"] for check in checks if check["name"] == "engine")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, engine {engine}"
    )
    print(COLUMNS.format("n", "seconds", "us/element", "MB sent", "MB rec'd", "node MiB", "a worker MiB"))
    for size in [int(argument) for argument in sys.argv[1:]] or [4_096, 16_384, 65_536]:
        folder = Path(tempfile.mkdtemp(prefix="md-"))
        try:
            figures = measure(folder, size)
        finally:
            shutil.rmtree(folder)
        print(
            COLUMNS.format(
                size,
                f"{figures['seconds']:.1f}",
                f"{figures['seconds'] / (2 * size) * 1e6:.0f}",
                f"{figures['sent'] / 1e6:.1f}",
                f"{figures['received'] / 1e6:.1f}",
                figures["node"],
                figures["workers"],
            )
        )


if __name__ == "__main__":
    main()
