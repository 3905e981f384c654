"""What fingerprints find, and what they find falsely: one table.

    make bench-signatures

`.6` to `.9`: the share of pairs of that similarity, up to the next class, that match. `linked`: the share of
what was generated that all three labs find in common; of accounts, the share that finds one of its operator
at another lab. `false`: of the pairs that should not match, the share that does, and of several kinds of such
pairs the worst; `in a set`: of the prompts, the share that matches a set of prompts none of which is
similar, as a lab asks. `needed` is how many values must match, `values` how many there are of one on
average, `us` what one costs in microseconds, the text's normalisation included.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator

from benchmarks import behaviour, prompts
from benchmarks.rows import CLASSES, Row

SOURCES: tuple[Callable[[], Iterator[Row]], ...] = (
    prompts.real_rows,
    prompts.template_rows,
    behaviour.table_rows,
)
"""Each yields rows of the table; what has no data here says so and yields none."""

WIDTHS = (18, 24, 6, 8, *(6 for _ in CLASSES), 7, 9, 9, 6)
HEADINGS = ("data", "profile", "needed", "values", *CLASSES, "linked", "false", "in a set", "us")


def line(cells: tuple[str, ...]) -> str:
    """Set the cells of a line: texts to the left, numbers to the right."""
    return " ".join(
        cell.ljust(width) if place < 2 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )


def main() -> None:
    """Measure, and print the table."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(line(HEADINGS))
    for source in SOURCES:
        for row in source():
            print(line(row.cells()), flush=True)


if __name__ == "__main__":
    main()
