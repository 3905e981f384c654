"""A shared round between two real nodes, at several sizes: time, curve arithmetic, bytes and peak memory.

    python benchmarks/rounds.py [--runs N] [--json FILE] 4096 16384 65536

Both nodes are processes on this machine, with mutual TLS, stores on disk and proofs checked. Each lab flags n
addresses, half of them in common. *Prepare* is from the start of both nodes until each has its table for the
other, side by side; *round* is that of `mandorla round`, first word to last: both directions, the close,
and the comparison. Memory is the peak of a node, and of its workers. *Curve* is how much of the
CPU time of both nodes the engine's operations take that the run consists of, by their cost in this process on
one thread, measured before each run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mandorla_protocol.engine import load_engine

MANDORLA = [sys.executable, "-m", "mandorla_node.cli"]
COLUMNS = "{:>9} {:>10} {:>10} {:>10} {:>11} {:>9} {:>7} {:>9} {:>9}"


def run(*arguments: str) -> str:
    """Run a command of mandorla and return what it prints."""
    return subprocess.run([*MANDORLA, *arguments], check=True, capture_output=True, text=True).stdout


def peak_memory(process: int) -> int:
    """Return a process's peak resident size in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def cpu_time(process: int) -> float:
    """Return the seconds of CPU that a process and its children have used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def curve_cost(count: int = 16_384) -> float:
    """Return the seconds that one element takes a lab in a round: held, asked, answered and verified."""
    engine = load_engine("auto", 1)
    tokens, uniform, nonce = os.urandom(32 * count), os.urandom(64 * count), os.urandom(64)
    keys = engine.derive_key_pair(bytes(32), b"benchmark")
    started = time.process_time()
    blinds, blinded = engine.blind(tokens, uniform)
    asked = engine.decode_elements(bytes(blinded))
    evaluated, proof = engine.evaluate_and_prove(keys, asked, nonce)
    engine.verify_and_finalize(keys.public, tokens, blinds, blinded, evaluated, proof)
    engine.evaluate(keys, tokens)
    return (time.process_time() - started) / count


def make_labs(folder: Path, size: int) -> list[Path]:
    """Make two homes that flag `size` addresses each, half of them in common, and pin each other."""
    homes = [folder / "lab-a", folder / "lab-b"]
    for number, home in enumerate(homes):
        run("init", str(home), "--lab", home.name, "--listen", f"127.0.0.1:{free_port()}")
        listed = folder / f"{home.name}.txt"
        values = range(number * size // 2, number * size // 2 + size)
        listed.write_text(
            "\n".join(f"{10 + (n >> 24)}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in values)
        )
        run("ingest", str(listed), "--as", "flagged", "--type", "ipv4", "--home", str(home))
        (folder / f"{home.name}.json").write_text(run("card", "--home", str(home)))
    for home, other in (homes, homes[::-1]):
        run("peer", "add", str(folder / f"{other.name}.json"), "--home", str(home))
    return homes


def prepared(home: Path) -> bool:
    """Say whether a node has its table for its peer."""
    (peer,) = json.loads(run("status", "--home", str(home), "--json"))["peers"]
    return any(budget["table_version"] for budget in peer["budgets"])


def measure(folder: Path, size: int) -> dict[str, Any]:
    """Run one round over `size` addresses a lab and return its figures."""
    homes = make_labs(folder, size)
    curve = curve_cost()
    nodes = [
        subprocess.Popen([*MANDORLA, "serve", "--home", str(home)], stderr=subprocess.DEVNULL)
        for home in homes
    ]
    try:
        begun = time.monotonic()
        while not all((home / "operator.sock").exists() for home in homes):
            time.sleep(0.05)
        while not all(map(prepared, homes)):
            time.sleep(0.2)
        started = time.monotonic()
        arguments = ("--kind", "shared", "--collection", "infrastructure", "--home", str(homes[0]), "--json")
        (result,) = json.loads(run("round", "lab-b", *arguments))
        ended = time.monotonic()
        # The other lab compares after the close.
        run("status", "--home", str(homes[1]), "--json")
        if result["matches"] != size - size // 2:
            raise SystemExit(f"{result['matches']} matches instead of {size - size // 2}")
        spent = sum(cpu_time(node.pid) + sum(map(cpu_time, children(node.pid))) for node in nodes)
        return {
            "prepare": started - begun,
            "round": ended - started,
            "cpu": spent,
            "curve": 2 * size * curve / spent,
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


def median_of(size: int, runs: int) -> dict[str, Any]:
    """Return the medians of several runs."""
    samples = []
    for _ in range(runs):
        folder = Path(tempfile.mkdtemp(prefix="md-"))
        try:
            samples.append(measure(folder, size))
        finally:
            shutil.rmtree(folder)
    return {"size": size} | {name: statistics.median(one[name] for one in samples) for name in samples[0]}


def machine() -> str:
    """Describe this machine and the engine that runs."""
    checks = json.loads(run("doctor", "--json"))["checks"]
    engine = next(check["said"] for check in checks if check["name"] == "engine")
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, engine {engine}"
    )


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[4_096, 16_384, 65_536])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print(machine())
    names = (
        "n",
        "prepare s",
        "round s",
        "us/element",
        "bytes/elem.",
        "CPU s",
        "curve",
        "node MiB",
        "a worker",
    )
    print(COLUMNS.format(*names))
    rows = []
    for size in arguments.sizes:
        row = median_of(size, arguments.runs)
        rows.append(row)
        print(
            COLUMNS.format(
                size,
                f"{row['prepare']:.1f}",
                f"{row['round']:.1f}",
                f"{row['round'] / (2 * size) * 1e6:.0f}",
                f"{(row['sent'] + row['received']) / (2 * size):.0f}",
                f"{row['cpu']:.1f}",
                f"{row['curve']:.0%}",
                row["node"],
                row["workers"],
            ),
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rounds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
