"""Check every claim of CLAIMS.toml, and that its negative control is refuted.

    python proofs/run.py            the claims of CLAIMS.toml
    python proofs/run.py FILE       those of another file; artefacts may have checkers that it does not name

Fails if a claim does not hold, if a mutant passes, if a claim names what does not exist, if an artefact has
a checker, a control or a theorem that no claim names, and if a tool is missing. Uses all cores; the table is
in the order of CLAIMS.toml.
"""

from __future__ import annotations

import importlib
import multiprocessing
import sys
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

CLAIMS = HERE / "CLAIMS.toml"
COLUMNS = "{:<28} {:>10} {:>8}  {:<8} {}"


class Broken(Exception):
    """The proofs are not in order."""


def claims(path: Path = CLAIMS) -> list[dict[str, str]]:
    """Read the claims of a file."""
    with path.open("rb") as file:
        found: list[dict[str, str]] = tomllib.load(file)["claim"]
    return found


def check(claim: dict[str, str]) -> tuple[int, float]:
    """Check a claim that Python code checks, and its control; return the number of cases, and the seconds.

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


def check_coq(known: list[dict[str, str]]) -> float:
    """Check all claims that Coq proves; return the seconds. Raises Broken."""
    import coq_theorems

    theorems = coq_theorems.theorems()
    for claim in known:
        for role in ("checker", "control"):
            if claim[role] not in theorems.get(claim["artefact"].removeprefix("coq/"), []):
                raise Broken(f"{claim['id']} names a theorem that does not exist")
    started = time.monotonic()
    try:
        coq_theorems.check()
    except coq_theorems.Unproved as error:
        raise Broken(str(error)) from None
    return time.monotonic() - started


def check_artefact(known: list[dict[str, str]]) -> list[str]:
    """Check the claims of one artefact, or all of Coq; return their rows of the table. Raises Broken."""
    if is_coq(known[0]):
        seconds = check_coq(known)
        rows = [COLUMNS.format(claim["id"], "all groups", "", "refuted", claim["says"]) for claim in known]
        return [*rows, f"Coq took {seconds:.0f} seconds, most of them for its checker and all libraries."]
    rows = []
    for claim in known:
        cases, seconds = check(claim)
        rows.append(COLUMNS.format(claim["id"], f"{cases:,}", f"{seconds:.1f}", "refuted", claim["says"]))
    return rows


def by_artefact(known: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """Group claims by what checks them: claims of one artefact share what it has explored."""
    groups: dict[str, list[dict[str, str]]] = {}
    for claim in known:
        groups.setdefault("coq" if is_coq(claim) else claim["artefact"], []).append(claim)
    return list(groups.values())


def is_coq(claim: dict[str, str]) -> bool:
    """Return whether Coq checks a claim."""
    return claim["artefact"].endswith(".v")


def orphans(known: list[dict[str, str]]) -> list[str]:
    """List the checkers, controls and theorems that no claim names."""
    import coq_theorems

    named = {(claim["artefact"], claim[name]) for claim in known for name in ("checker", "control")}
    modules: dict[str, ModuleType] = {}
    for path in sorted(HERE.glob("*/*_claims.py")):
        name = f"{path.parent.name}.{path.stem}"
        modules[name] = importlib.import_module(name)
    existing = [
        (artefact, name)
        for artefact, module in modules.items()
        for name in vars(module)
        if name.startswith(("check_", "control_"))
    ]
    existing += [
        (f"coq/{file}", theorem) for file, found in coq_theorems.theorems().items() for theorem in found
    ]
    return [f"{artefact}: {name}" for artefact, name in existing if (artefact, name) not in named]


def main(path: Path = CLAIMS) -> int:
    """Check all claims and print a table; return the exit status."""
    known = claims(path)
    print(COLUMNS.format("claim", "cases", "seconds", "mutant", "what it says"))
    try:
        if path == CLAIMS and (unnamed := orphans(known)):
            raise Broken(f"no claim names {', '.join(unnamed)}")
        # Not forked: z3 has threads of its own, and a child that is forked beside threads may wait for ever.
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            # The last ones take longest, so they begin first.
            pending = [pool.submit(check_artefact, group) for group in reversed(by_artefact(known))]
            try:
                for rows in reversed(pending):
                    print(*rows.result(), sep="\n", flush=True)
            except Broken:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except Broken as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
