"""Results as JSON, and as a table of `benchmarks/README.md`.

A file of results is a list of objects with exactly these members: `metric`, a string; `size`, the elements
or the indicators of each side, an integer; `ours`, our figure; `peer`, what it is compared with; `value`,
the figure of that; `ratio`, `ours` divided by `value`; `unit`, the unit of both figures. Of what is
compared, less is better. What is not there is null: a figure that stands alone has no `peer`, `value` or
`ratio`; a peer that cannot be measured here has a `peer` that says why, and no `value`; and one that was
measured where we were not has no `ours`.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mandorla_protocol.engine.loader import load_engine

HERE = Path(__file__).parent
FOLDER = HERE / "results"
README = HERE / "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A figure of ours, and what it is compared with."""

    metric: str
    size: int
    ours: float | None = None
    peer: str | None = None
    value: float | None = None
    unit: str

    @property
    def ratio(self) -> float | None:
        """Ours divided by the other's; under 1, ours is better."""
        return None if self.ours is None or self.value is None else self.ours / self.value

    def as_object(self) -> dict[str, str | float | None]:
        """Return the object of the file."""
        return {
            "metric": self.metric,
            "size": self.size,
            "ours": _rounded(self.ours),
            "peer": self.peer,
            "value": _rounded(self.value),
            "ratio": _rounded(self.ratio),
            "unit": self.unit,
        }

    def verdict(self) -> str:
        """Say whether ours is better, and by how much."""
        if self.ratio is None:
            return ""
        return (
            f"{1 / self.ratio:.2f} times" if self.ratio <= 1 else f"**no, the other: {self.ratio:.2f} times**"
        )

    def line(self) -> str:
        """Return the result as a line to print."""
        ours = f"{_written(self.ours)} {self.unit}" if self.ours is not None else "not measured"
        said = f"{self.metric} ({self.size:,}): {ours}"
        if self.peer is None:
            return said
        theirs = f"{_written(self.value)} {self.unit}" if self.value is not None else "not measured"
        return f"{_written(self.ratio)} {said}; {self.peer}: {theirs}".strip()


def save(name: str, results: Sequence[Result], preface: str) -> None:
    """Write results to `results/<name>.json`, and their table into its place in the README."""
    FOLDER.mkdir(exist_ok=True)
    objects = [result.as_object() for result in results]
    (FOLDER / f"{name}.json").write_text(json.dumps(objects, indent=1) + "\n", encoding="utf-8")
    begin, end = f"<!-- {name}: written by the script -->", f"<!-- end of {name} -->"
    before, _, rest = README.read_text("utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{README} has no place for the results of {name}")
    table = "\n".join(_table(results))
    README.write_text(f"{before}{begin}\n{preface}\n\n{table}\n{end}{after}", encoding="utf-8")


def machine() -> str:
    """Describe this machine and what runs on it."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    engine = load_engine(os.environ.get("MANDORLA_ENGINE", "auto")).name
    return (
        f"{_processor()}, {os.cpu_count()} cores, {gibibytes:.0f} GiB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, {engine} engine"
    )


def _processor() -> str:
    """Return the processor's name, and what matters here of what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return platform.processor() or "a processor"
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    wide = " with AVX-512 IFMA" if "avx512ifma" in facts.get("flags", "").split() else ""
    return facts.get("model name", "a processor") + wide


def _table(results: Sequence[Result]) -> list[str]:
    compared = any(result.peer for result in results)
    lines = (
        [
            "| ratio | ours is better | metric | size | ours | compared with | its figure | unit |",
            "|--:|---|---|--:|--:|---|--:|---|",
        ]
        if compared
        else ["| metric | size | ours | unit |", "|---|--:|--:|---|"]
    )
    # What is compared comes first.
    for result in sorted(results, key=lambda result: result.peer is None):
        ours, ratio, theirs = map(_written, (result.ours, result.ratio, result.value))
        cells = [result.metric, f"{result.size:,}", ours]
        if compared:
            cells = [ratio, result.verdict(), *cells, result.peer or "", theirs]
        lines.append("| " + " | ".join((*cells, result.unit)) + " |")
    return lines


def _rounded(value: float | None) -> float | None:
    """Keep four figures, more than any measurement here is good for."""
    return None if value is None else float(f"{value:.4g}")


def _written(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"
