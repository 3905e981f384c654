"""Check every claim of CLAIMS.toml, and that its negative control is refuted.

    python proofs/run.py

Fails if a claim does not hold, if a mutant passes, if a claim names what does not exist, or if an artefact
has a checker or a control that no claim names.
"""

from __future__ import annotations

import importlib
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

COLUMNS = "{:<22} {:>12} {:>9}  {:<8} {}"


class Broken(Exception):
    """The proofs are not in order."""


def claims() -> list[dict[str, str]]:
    """Read the claims."""
    with (HERE / "CLAIMS.toml").open("rb") as file:
        found: list[dict[str, str]] = tomllib.load(file)["claim"]
    return found


def check(claim: dict[str, str]) -> tuple[int, float]:
    """Check one claim and its control; return how many cases there were, and the seconds.

    Raises Broken.
    """
    from exhaustive.groups import Refuted

    module = importlib.import_module(claim["artefact"])
    checker, control = (getattr(module, claim[name], None) for name in ("checker", "control"))
    if checker is None or control is None:
        raise Broken(f"{claim['id']} names a checker or a control that does not exist")
    started = time.monotonic()
    try:
        cases = checker()
    except Refuted as counterexample:
        raise Broken(f"{claim['id']} does not hold: {counterexample}") from None
    try:
        control()
    except Refuted:
        return cases, time.monotonic() - started
    raise Broken(f"{claim['id']}: the mutant passes, so the checker shows nothing")


def orphans(known: list[dict[str, str]]) -> list[str]:
    """List the checkers and controls that no claim names."""
    named = {(claim["artefact"], claim[name]) for claim in known for name in ("checker", "control")}
    modules: dict[str, ModuleType] = {
        f"exhaustive.{path.stem}": importlib.import_module(f"exhaustive.{path.stem}")
        for path in sorted((HERE / "exhaustive").glob("*_claims.py"))
    }
    return [
        f"{artefact}.{name}"
        for artefact, module in modules.items()
        for name in vars(module)
        if name.startswith(("check_", "control_")) and (artefact, name) not in named
    ]


def main() -> int:
    """Check all claims and print a table; return the exit status."""
    known = claims()
    print(COLUMNS.format("claim", "cases", "seconds", "mutant", "what it says"))
    try:
        if left := orphans(known):
            raise Broken(f"no claim names {', '.join(left)}")
        for claim in known:
            cases, seconds = check(claim)
            print(COLUMNS.format(claim["id"], f"{cases:,}", f"{seconds:.1f}", "refuted", claim["says"]))
    except Broken as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
