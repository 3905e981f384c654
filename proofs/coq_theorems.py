"""Theorems that Coq checks: compiled, without an assumption, and checked again by Coq's small checker.

A control is a theorem too: it says that a mutant of the claim is false.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent / "coq"
# Commands that let Coq accept a statement without a proof.
UNPROVED = re.compile(
    r"\b(Admitted|admit|Axioms?|Parameters?|Conjecture|Hypothes[ie]s|Abort|Unset Guard Checking)\b"
)
THEOREM = re.compile(r"^Theorem (\w+)", re.MULTILINE)
CLOSED = "Closed under the global context"


class Unproved(Exception):
    """Coq does not accept a theorem, or accepts it on an assumption."""


def theorems() -> dict[str, list[str]]:
    """List the theorems of each file."""
    return {path.name: THEOREM.findall(path.read_text("utf-8")) for path in sorted(HERE.glob("*.v"))}


def check() -> None:
    """Compile every file, look for assumptions, and have `coqchk` check all of it, libraries included.

    Raises Unproved, also if Coq is not installed.
    """
    for tool in ("coqc", "coqchk"):
        if shutil.which(tool) is None:
            raise Unproved(f"there is no {tool}: `make proof-tools` installs Coq and Mathematical Components")
    with tempfile.TemporaryDirectory(prefix="md-") as folder:
        for name, stated in theorems().items():
            source = (HERE / name).read_text("utf-8")
            if found := UNPROVED.search(re.sub(r"\(\*.*?\*\)", "", source, flags=re.DOTALL)):
                raise Unproved(f"{name} holds {found[0]}")
            questions = "".join(f"Print Assumptions {theorem}.\n" for theorem in stated)
            (Path(folder) / name).write_text(source + questions, "utf-8")
            output = _run(Path(folder), "coqc", "-q", "-w", "none", name)
            if output.count(CLOSED) != len(stated):
                raise Unproved(f"a theorem of {name} stands on an assumption:\n{output}")
        compiled = [name.removesuffix(".v") for name in theorems()]
        output = _run(Path(folder), "coqchk", "-silent", "-o", "-Q", ".", "", *compiled)
        if "* Axioms: <none>" not in output:
            raise Unproved(f"coqchk finds axioms:\n{output}")


def _run(folder: Path, *command: str) -> str:
    ran = subprocess.run(  # noqa: S603 - commands of this file
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    if ran.returncode:
        raise Unproved(f"{' '.join(command)}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout + ran.stderr
