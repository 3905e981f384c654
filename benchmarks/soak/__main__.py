"""One soak, and its figures.

    python -m benchmarks.soak [--minutes N] [--kill-every SECONDS] [--new RATE] [--seed N] [--spare LAB]

The exit status says whether everything held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import FOLDER, machine
from benchmarks.soak.labs import Lab
from benchmarks.soak.plan import LABS, Load
from benchmarks.soak.run import Outcome, Troubles, soak

_FIRST = 0.2
"""The part of a soak that its memory's slope leaves out: caches fill, and what is imported late is."""


def figures(outcome: Outcome) -> dict[str, object]:
    """Return what was measured. Times are seconds unless they say otherwise, sizes MiB."""
    accounts = outcome.accounts.values()
    ended: Counter[str] = Counter()
    for one in outcome.rounds.values():
        ended.update(one.ended)
    return {
        "seconds": round(outcome.lasted),
        "deeds": dict(Counter(deed.verb.value for deed in outcome.deeds)),
        "calls_made_again": sum(one.again for one in accounts),
        "troubles": dict(outcome.troubles),
        "rounds_agreed": sum(one.agreed for one in outcome.rounds.values()),
        "rounds_ended": dict(ended),
        "evaluations_charged": sum(one.charged for one in outcome.rounds.values()),
        "matches": outcome.matched,
        "settled_after": round(outcome.settled, 2),
        "flag_to_match_calm_ms": _percentiles(outcome.latencies(calm=True)),
        "flag_to_match_all_ms": _percentiles(outcome.latencies(calm=False)),
        "check_call_ms": _percentiles(sorted(taken for one in accounts for taken in one.checks)),
        "boot_s": _percentiles(sorted(taken for lab in outcome.labs for taken in lab.boots), 1),
        "stop_s": _percentiles(sorted(taken for lab in outcome.labs for taken in lab.stops), 1),
        "memory_mib": {lab.name: _memory(lab, outcome) for lab in outcome.labs},
        "store_mib": {lab.name: round(lab.size / 2**20, 2) for lab in outcome.labs},
        "faults": outcome.faults,
    }


def _percentiles(values: Sequence[float], unit: float = 1e3) -> dict[str, float]:
    """Return some percentiles of sorted values, in thousandths unless another unit is given."""
    if not values:
        return {"count": 0}
    at = {name: values[min(len(values) - 1, int(part * len(values)))] for name, part in _PARTS.items()}
    return {"count": len(values), **{name: round(value * unit, 2) for name, value in at.items()}}


_PARTS = {"median": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}


def _memory(lab: Lab, outcome: Outcome) -> dict[str, float]:
    """Return a node's memory: at first and at last, the most, and what it grows by in an hour."""
    if len(lab.memory) < 2:
        return {}
    late = [one for one in lab.memory if one.at - outcome.begun > _FIRST * outcome.lasted]
    slope = 0.0
    if len(late) > 2:
        fitted = statistics.linear_regression([one.at for one in late], [one.mebibytes for one in late])
        slope = fitted.slope * 3600
    return {
        "first": round(lab.memory[0].mebibytes, 1),
        "last": round(lab.memory[-1].mebibytes, 1),
        "most": round(max(one.mebibytes for one in lab.memory), 1),
        "per_hour": round(slope, 1),
    }


def main() -> None:
    """Soak, print the figures, write them, and exit by them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--kill-every", type=float, default=30.0, help="seconds; 0: never")
    parser.add_argument("--freeze", type=float, default=20.0, help="seconds for which a node is frozen")
    parser.add_argument("--new", type=float, default=3.0, help="new indicators a second")
    parser.add_argument("--checks", type=float, default=10.0, help="checks a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spare", action="append", default=[], choices=LABS, help="a lab to leave alone")
    parser.add_argument("--out", type=Path, default=FOLDER / "soak.json")
    parser.add_argument("--keep", action="store_true", help="leave the homes and logs behind")
    wanted = parser.parse_args()
    load = Load(wanted.minutes * 60, wanted.new, wanted.checks)
    troubles = Troubles(wanted.kill_every, wanted.freeze, frozenset(wanted.spare))
    print(machine())
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    try:
        outcome = asyncio.run(soak(folder, load, troubles, wanted.seed, lambda line: print(line, flush=True)))
        measured = {"machine": machine(), "minutes": wanted.minutes, "kill_every": wanted.kill_every}
        measured |= {"seed": wanted.seed, "spared": wanted.spare} | figures(outcome)
    finally:
        if wanted.keep:
            print(folder)
        else:
            shutil.rmtree(folder)
    for name, value in measured.items():
        print(f"{name:24} {value}")
    wanted.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
