"""Write all files of vectors, and their JSON Schema.

    python -m vectors.make [FOLDER]

The default folder is that of this file. The generator does not import Mandorla. It computes each output from
the text of SPEC, so that the vectors can disagree with the code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from .cases import (
    behaviour,
    bundles,
    cards,
    encodings,
    indicators,
    labels,
    logs,
    oprf,
    prompts,
    proofs,
    rounds,
    schema,
    signatures,
    tables,
)
from .cases.inputs import plain

WIDTH: Final = 110
LIKE: Final = 0.7
"""The largest length of a difference, relative to its whole input. Otherwise a case has the whole input."""

MODULES: Final = (
    behaviour,
    bundles,
    cards,
    encodings,
    indicators,
    labels,
    logs,
    oprf,
    prompts,
    proofs,
    rounds,
    signatures,
    tables,
)


def document(module: Any) -> dict[str, Any]:
    """Return the document of a module's cases.

    Some cases have a whole input. Each other case names the most similar of these cases and has the
    difference only, so that a vector shows its fault, and files stay small.
    """
    cases: list[dict[str, Any]] = []
    whole: dict[str, list[dict[str, Any]]] = {}
    for made in module.cases():
        case = plain(made)
        bases = whole.setdefault(case["operation"], [])
        patches = [(difference(base["input"], case["input"]), base["name"]) for base in bases]
        patch, name = min(patches, key=_length, default=(case["input"], ""))
        if name and _length((patch, "")) < LIKE * _length((case["input"], "")):
            case |= {"like": name, "input": patch}
        else:
            bases.append(case)
        cases.append(case)
    names = [case["name"] for case in cases]
    if len(names) != len(set(names)):
        raise ValueError(f"a name is used twice: {max(names, key=names.count)}")
    return {"about": module.ABOUT, "spec": module.SPEC, "cases": cases}


def _length(patch: tuple[dict[str, Any], str]) -> int:
    return len(json.dumps(patch[0]))


def difference(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Merge Patch (RFC 7396) that turns one object into another."""
    patch: dict[str, Any] = dict.fromkeys(base.keys() - other.keys())
    for name, value in other.items():
        if name in base and isinstance(value, dict) and isinstance(base[name], dict):
            if inner := difference(base[name], value):
                patch[name] = inner
        elif name not in base or value != base[name]:
            patch[name] = value
    return patch


def layout(value: object, depth: int = 0) -> str:
    """Return JSON with sorted names, and each value on one line if it fits.

    Characters outside ASCII are escaped, so that editors keep invisible ones and lone surrogates.
    """
    line = json.dumps(value, sort_keys=True)
    if len(line) + depth <= WIDTH or not value or not isinstance(value, dict | list):
        return line
    inner = " " * (depth + 1)
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {layout(value[name], depth + 1)}" for name in sorted(value)]
        opening, closing = "{", "}"
    else:
        parts = [layout(one, depth + 1) for one in value]
        opening, closing = "[", "]"
    separator = f",\n{inner}"
    return f"{opening}\n{inner}{separator.join(parts)}\n{' ' * depth}{closing}"


def main(arguments: list[str]) -> None:
    """Write the files."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    for module in MODULES:
        path = folder / f"{module.__name__.rpartition('.')[2]}.json"
        path.write_text(layout(document(module)) + "\n", encoding="ascii")
    (folder / "schema.json").write_text(layout(schema.SCHEMA) + "\n", encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
