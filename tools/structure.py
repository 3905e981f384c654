"""Measure the structure of the node's code, from its imports: how hard is it to enter?

    python tools/structure.py                     this checkout
    python tools/structure.py --json              the same, for a program
    python tools/structure.py --against FOLDER    another checkout beside this one

A room is a folder of `mandorla_node`, or a module that stands beside the folders. An arrow is a pair of
rooms, the first of which imports the second. The floors are the longest chain of rooms in which each imports
the next; rooms that import each other in a circle count as one room there. Imports for types alone count too.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = "mandorla_node"
ENTRY: Final = f"{PACKAGE}.rounds.initiator"
LONG: Final = 400
"""Lines from which a module is long."""

Graph: TypeAlias = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Structure:
    """The figures of one checkout."""

    modules: int
    rooms: int
    floors: int
    arrows: int
    circles: int
    rooms_in_circles: int
    initiator_imports: int
    initiator_imports_protocol: int
    long_modules: int
    imports_in_functions: int


@dataclass(frozen=True, slots=True)
class _Module:
    imports: frozenset[str]
    lines: int
    in_functions: int


def _paths(folder: Path) -> dict[str, Path]:
    """Return the modules of a package by name, migrations left out."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        if "versions" not in parts and "__pycache__" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    """Yield the full names that a statement of a module in `package` may import."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    above = package.split(".")
    above = above[: len(above) - node.level + 1] if node.level else []
    module = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        yield f"{module}.{alias.name}"


def _module(name: str, path: Path, known: Mapping[str, Path]) -> _Module:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for full in _imported(node, package):
                # A name is a module, or what a module defines.
                target = full if full in known else full.rpartition(".")[0]
                if target in known and target != name:
                    imports.add(target)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {
        id(node)
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return _Module(frozenset(imports), len(text.splitlines()), len(inside))


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _circles(graph: Graph) -> list[set[str]]:
    """Return the strongly connected components of two rooms or more (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for reached in sorted(graph[node]):
            if reached not in index:
                visit(reached)
                low[node] = min(low[node], low[reached])
            elif reached in stack:
                low[node] = min(low[node], index[reached])
        if low[node] == index[node]:
            component = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(component)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def _floors(graph: Graph, circles: Iterable[set[str]]) -> int:
    merged = {room: min(circle) for circle in circles for room in circle}
    below: Graph = {}
    for room, reached in graph.items():
        own = merged.get(room, room)
        below.setdefault(own, set()).update(merged.get(one, one) for one in reached)
    depth: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in depth:
            depth[room] = 1 + max((height(one) for one in below.get(room, ()) if one != room), default=0)
        return depth[room]

    return max(map(height, below))


def _reached(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    found: set[str] = set()
    frontier = [start]
    while frontier:
        for one in graph[frontier.pop()]:
            if one not in found:
                found.add(one)
                frontier.append(one)
    return found


def measure(root: Path) -> Structure:
    """Measure a checkout; raises OSError if it holds no node."""
    node = _paths(root / "node" / PACKAGE)
    known = node | _paths(root / "protocol" / "mandorla_protocol")
    modules = {name: _module(name, path, known) for name, path in known.items()}
    rooms: Graph = {}
    for name in node:
        if name == PACKAGE:
            continue
        reached = {_room(one) for one in modules[name].imports if one in node and one != PACKAGE}
        rooms.setdefault(_room(name), set()).update(reached - {_room(name)})
    circles = _circles(rooms)
    behind = _reached({name: module.imports for name, module in modules.items()}, ENTRY)
    return Structure(
        modules=len(node),
        rooms=len(rooms),
        floors=_floors(rooms, circles),
        arrows=sum(map(len, rooms.values())),
        circles=len(circles),
        rooms_in_circles=sum(map(len, circles)),
        initiator_imports=sum(one in node for one in behind),
        initiator_imports_protocol=sum(one not in node for one in behind),
        long_modules=sum(modules[name].lines > LONG for name in known),
        imports_in_functions=sum(modules[name].in_functions for name in node),
    )


_SAID: Final = {
    "modules": "modules of the node",
    "rooms": "rooms",
    "floors": "floors",
    "arrows": "arrows between rooms",
    "circles": "import circles between rooms",
    "rooms_in_circles": "rooms in a circle",
    "initiator_imports": "modules of the node behind rounds/initiator.py",
    "initiator_imports_protocol": "modules of the protocol behind it",
    "long_modules": f"modules over {LONG} lines, node and protocol",
    "imports_in_functions": "imports inside functions",
}


def main(arguments: list[str]) -> int:
    """Print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout to show beside this")
    parser.add_argument("--json", action="store_true", help="write JSON")
    options = parser.parse_args(arguments)
    columns = [asdict(measure(root)) for root in (options.against, ROOT) if root is not None]
    if options.json:
        print(json.dumps(columns[0] if len(columns) == 1 else columns, indent=2))
        return 0
    heads = ["against", "here"] if options.against else ["here"]
    print(f"{'':<50}" + "".join(f"{head:>9}" for head in heads))
    for name, said in _SAID.items():
        print(f"{said:<50}" + "".join(f"{column[name]:>9}" for column in columns))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
