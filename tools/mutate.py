"""Mutate the protocol's code, and see whether its tests notice.

    python tools/mutate.py [MODULE ...]

Each mutant differs in one place: a comparison, a connective, an operator, a constant, a `not`, or a check
that is left out. It runs in a copy of the tree, under the tests that are named for its module below and,
if it survives them, under the vectors, which are many.
Survivors are printed; those of `SURVIVORS.md` are known, with the reason why they are no faults. Fails for
any other.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

ROOT = Path(__file__).parents[1]
PROTOCOL = Path("protocol/mandorla_protocol")
KNOWN = ROOT / "tools" / "SURVIVORS.md"
TESTS = {
    "oprf": ["protocol/test_oprf.py", "protocol/engine/test_portable.py"],
    "dleq": [
        "protocol/test_dleq.py",
        "protocol/test_dleq_search.py",
        "protocol/test_oprf.py",
        "protocol/engine/test_portable.py",
    ],
    "header": ["protocol/test_header.py"],
    "labels": ["protocol/test_labels.py", "protocol/test_columns.py"],
    "table": ["protocol/test_table.py", "protocol/test_columns.py"],
    "merkle": ["protocol/test_merkle.py", "protocol/log/test_proofs.py"],
    "session/transcript": ["protocol/session"],
    "session/holder": ["protocol/session"],
    "session/querier": ["protocol/session"],
    "log/proofs": ["protocol/log/test_limits.py", "protocol/log/test_proofs.py"],
    "log/notes": ["protocol/log/test_limits.py", "protocol/log/test_checkpoint.py"],
    "log/checkpoint": ["protocol/log/test_limits.py", "protocol/log", "node/peers/test_witness.py"],
    "log/witness": ["protocol/log/test_witness.py"],
    "log/fraud": ["protocol/log/test_limits.py", "protocol/log", "node/peers/test_witness.py"],
    "log/entries": ["protocol/log/test_limits.py", "protocol/log/test_entries.py"],
}
_PAIRS: tuple[tuple[type[ast.AST], type[ast.AST]], ...] = (
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.FloorDiv),
    (ast.LShift, ast.RShift),
)
SWAPS = dict(_PAIRS) | {other: one for one, other in _PAIRS}


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, description and source of each mutant."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    for place, node in enumerate(nodes):
        for what, change in _changes(node):
            mutant = copy.deepcopy(tree)
            twin = list(ast.walk(mutant))[place]
            before = ast.unparse(node)
            change(twin)
            yield getattr(node, "lineno", 0), f"{what}: {before.splitlines()[0][:90]}", ast.unparse(mutant)


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], object]]]:
    """Yield what can be done to a node, and the function that does it to its twin."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if type(operator) in SWAPS:
                yield f"comparison {number}", partial(_swap_in, number)
    elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPS:
        yield "operator", lambda twin: setattr(twin, "op", _swapped(twin.op))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", lambda twin: setattr(twin, "operand", ast.UnaryOp(ast.Not(), twin.operand))
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "constant", lambda twin: setattr(twin, "value", twin.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bytes) and node.value:
        yield "constant", lambda twin: setattr(twin, "value", twin.value + b"x")
    elif isinstance(node, ast.If):
        yield "never", lambda twin: setattr(twin, "test", ast.Constant(value=False))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "left out", lambda twin: setattr(twin, "value", ast.Constant(value=None))


def _swap_in(number: int, twin: Any) -> None:
    twin.ops[number] = _swapped(twin.ops[number])


def _swapped(operator: ast.AST) -> ast.AST:
    return SWAPS[type(operator)]()


VECTORS = ["vectors/test_replay.py"]


def run(module: str, places: Queue[Path], mutant: str) -> bool:
    """Say whether the tests of a module, or the vectors, notice a mutant of it."""
    place = places.get()
    file = place / PROTOCOL / f"{module}.py"
    honest = file.read_text("utf-8")
    try:
        file.write_text(mutant, "utf-8")
        paths = os.pathsep.join(str(place / name) for name in ("proto", "protocol", "node", "simulations"))
        environment = {**os.environ, "PYTHONPATH": paths}
        return any(_fails(place, names, environment) for names in (TESTS[module], VECTORS))
    finally:
        file.write_text(honest, "utf-8")
        places.put(place)


def _fails(place: Path, names: list[str], environment: dict[str, str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header"]
    command += [str(place / "tests" / name) for name in names]
    try:
        ran = subprocess.run(  # noqa: S603 - this very tree's tests
            command, cwd=place, env=environment, capture_output=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return ran.returncode != 0


def known() -> set[tuple[str, str]]:
    """Read the mutants that are known to be no faults: module and description."""
    if not KNOWN.exists():
        return set()
    rows = re.findall(r"^\| `([^`]+)` \| `(.+?)` \|", KNOWN.read_text("utf-8"), re.MULTILINE)
    return {(module, what) for module, what in rows}


def main(modules: list[str]) -> int:
    """Run all mutants of some modules, or of all; return the exit status."""
    places: Queue[Path] = Queue()
    accepted, survivors, count = known(), [], 0
    with tempfile.TemporaryDirectory(prefix="md-") as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        for number in range(os.cpu_count() or 1):
            place = Path(folder) / str(number)
            shutil.copytree(
                ROOT, place, ignore=shutil.ignore_patterns(".venv", ".git", "target", "build", ".*_cache")
            )
            places.put(place)
        for module in modules or TESTS:
            found = list(mutants((ROOT / PROTOCOL / f"{module}.py").read_text("utf-8")))
            noticed = list(pool.map(lambda one, m=module: run(m, places, one[2]), found))
            left = [
                (module, line, what) for (line, what, _), seen in zip(found, noticed, strict=True) if not seen
            ]
            survivors += left
            count += len(found)
            print(f"{module}: {len(found)} mutants, {len(left)} survive", flush=True)
            for _, line, what in left:
                mark = " " if (module, what) in accepted else "!"
                print(f"  {mark} line {line}: {what}", flush=True)
    new = [one for one in survivors if (one[0], one[2]) not in accepted]
    print(f"{count} mutants, {len(survivors)} survive, {len(new)} of them not explained")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
