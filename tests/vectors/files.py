"""A reader of the vectors, from their files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

FOLDER = Path(__file__).parents[2] / "vectors"
FILES = sorted(path for path in FOLDER.glob("*.json") if path.name != "schema.json")

Case: TypeAlias = dict[str, Any]


def merge(base: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("ascii"))
    return document


def whole(document: dict[str, Any]) -> list[Case]:
    """Return a file's cases with their whole inputs."""
    inputs = {case["name"]: case["input"] for case in document["cases"]}
    return [
        {key: value for key, value in case.items() if key != "like"}
        | {"input": merge(inputs[case["like"]], case["input"]) if "like" in case else case["input"]}
        for case in document["cases"]
    ]


CASES: list[Case] = [case for path in FILES for case in whole(read(path))]


def of(*operations: str) -> list[Case]:
    return [case for case in CASES if case["operation"] in operations]
