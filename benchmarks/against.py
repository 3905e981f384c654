"""Side by side with the peers, in one run: ratios first.

    make bench-peers [LARGE=1]

Operations against PyPI `voprf`; a `shared` round of two real nodes against `openmined-psi` and against
SecretFlow's `spu`. `voprf` is in the environment of the tests; the others get their own under `.venv-peers`,
from PyPI. One that cannot be installed, or fails, gets a row that says so. Runs are interleaved: ours,
theirs, ours, theirs. It writes `results/peers.json` and the second table of `README.md`, which says what
each figure includes. LARGE=1 also runs our round of 1,048,576.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import operations, rounds
from benchmarks.labs import Round, run_round, two_labs
from benchmarks.results import Result, machine, save

ENVIRONMENTS = Path(__file__).parents[1] / ".venv-peers"
SCRIPTS = Path(__file__).with_name("peers")
BATCH = 4_096
SIZES = (16_384, 131_072)
LARGE = 2**20
INSTALLING, RUNNING = 300.0, 300.0
"""Seconds that a peer is given to be installed, and for one run."""


@dataclass(slots=True)
class Peer:
    """Another implementation, which a script in `peers/` runs in its own environment."""

    name: str
    package: str
    script: str
    arguments: tuple[str, ...] = ()
    taken: list[float] = field(default_factory=list)
    trouble: str = ""

    @property
    def python(self) -> Path:
        """The Python of its environment."""
        return ENVIRONMENTS / self.package / "bin" / "python"

    def install(self) -> None:
        """Make its environment, unless it is there."""
        if (self.python.parents[1] / ".installed").exists():
            return
        print(f"installing {self.package}", flush=True)
        venv.create(self.python.parents[1], with_pip=True, clear=True)
        command = [
            self.python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            self.package,
        ]
        if self._run(command, INSTALLING) is not None:
            (self.python.parents[1] / ".installed").touch()

    def run(self, size: int) -> None:
        """Run it once over `size` items a side, half of them in common, and keep the seconds it took."""
        if self.trouble:
            return
        said = self._run([self.python, SCRIPTS / self.script, *self.arguments, str(size)], RUNNING)
        if said is None:
            return
        answer = json.loads(said.splitlines()[-1])
        if answer["found"] == size - size // 2:
            self.taken.append(answer["seconds"])
        else:
            self.trouble = f"found {answer['found']} instead of {size - size // 2}"

    def result(self, metric: str, size: int, ours: float | None) -> Result:
        """Compare its median with ours."""
        if self.trouble:
            return Result(metric=metric, size=size, ours=ours, peer=f"{self.name}: {self.trouble}", unit="s")
        value = statistics.median(self.taken)
        return Result(metric=metric, size=size, ours=ours, peer=self.name, value=value, unit="s")

    def _run(self, command: Sequence[str | Path], patience: float) -> str | None:
        """Run a command of this peer; return what it prints, or None, having noted what went wrong."""
        with tempfile.TemporaryDirectory(prefix="md-") as folder:
            try:
                done = subprocess.run(
                    command,
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=patience,
                    cwd=folder,
                    env={**os.environ, "TMPDIR": folder},
                )
            except subprocess.TimeoutExpired:
                self.trouble = f"not done in {patience:.0f} s"
            except subprocess.CalledProcessError as error:
                print(error.stderr[-2_000:], file=sys.stderr)
                self.trouble = "cannot be installed here" if "pip" in command else "cannot run here"
            else:
                return done.stdout
        return None


def openmined() -> Peer:
    """Return OpenMined's PSI."""
    return Peer("openmined-psi 2.0.6, ECDH, one process", "openmined-psi==2.0.6", "openmined.py")


def secretflow(protocol: str) -> Peer:
    """Return SecretFlow's, by protocol."""
    name = f"spu 0.9.5, {protocol}, two processes"
    return Peer(name, "spu==0.9.5", "secretflow.py", (protocol,))


def of_operations(runs: int) -> Iterator[Result]:
    """Yield our operations, on one thread, against `voprf`."""
    unit = "us an element"
    try:
        peer = f"voprf {version('voprf')}"
    except PackageNotFoundError:
        peer = "voprf: not installed here"
    medians = operations.measure(BATCH, runs, with_peer=not peer.endswith("here"))
    engine = "native 1" if ("native 1", operations.OPERATIONS[0]) in medians else "portable"
    for operation in operations.OPERATIONS:
        yield Result(
            metric=f"{operation}, {engine.removesuffix(' 1')}, 1 thread",
            size=BATCH,
            ours=medians[engine, operation],
            peer=peer,
            value=medians.get(("voprf", operation)),
            unit=unit,
        )


def of_rounds(size: int, runs: int, peers: Sequence[Peer]) -> Iterator[Result]:
    """Yield our rounds of a size against the peers: the round alone, and with the making of its tables."""
    ours: list[Round] = []
    for peer in peers:
        peer.install()
    with two_labs(size) as made:
        for _ in range(runs):
            ours.append(asyncio.run(run_round(made, size, cores=2)))
            for peer in peers:
                peer.run(size)
    alone = rounds.median(ours, "round")
    whole = statistics.median(one.prepare + one.round for one in ours)
    for peer in peers:
        yield peer.result("shared round, two nodes", size, alone)
        yield peer.result("tables and shared round, two nodes", size, whole)


def of_large(runs: int, with_ours: bool) -> Iterator[Result]:
    """Yield the peer that is made for millions, at a million, and our round if asked for."""
    (ours,) = rounds.measure(LARGE, 1, 2) if with_ours else ([],)
    peer = secretflow("RR22")
    peer.install()
    for _ in range(runs):
        peer.run(LARGE)
    yield peer.result("shared round, two nodes", LARGE, rounds.median(ours, "round") if ours else None)


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    results: list[Result] = []

    def keep(more: Iterator[Result]) -> None:
        for result in more:
            results.append(result)
            print(result.line(), flush=True)

    print(machine())
    keep(of_operations(2 * arguments.runs - 1))
    for size in arguments.sizes:
        peers = [
            openmined(),
            *map(secretflow, ("ECDH", "KKRT", "RR22") if size == max(arguments.sizes) else ()),
        ]
        keep(of_rounds(size, arguments.runs, peers))
    keep(of_large(arguments.runs, arguments.large))
    once = f"; of one of ours at {LARGE:,}" if arguments.large else ""
    runs = f"Medians of {arguments.runs} runs, of {2 * arguments.runs - 1} of each operation{once}."
    save("peers", results, f"{machine()}. {runs}")


if __name__ == "__main__":
    main()
