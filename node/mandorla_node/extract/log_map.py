"""The map of a log: the names of its columns, endpoints, models and tools, in TOML (docs/signatures.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, TypeVar

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.fingerprints.steps import Endpoint, ModelClass, Tool

REQUIRED: Final = ("time", "account")
COLUMNS: Final = (
    *REQUIRED,
    "mail",
    "address",
    "payment",
    "user_agent",
    "ja4",
    "endpoint",
    "model",
    "tools",
    "prompt",
    "prompt_size",
    "answer_size",
)
TICKS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
TOKEN_CHARACTERS: Final = 4
"""The characters of a token, for logs that count tokens; precise enough for size classes of a factor 4."""

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "*/chat/completions": Endpoint.CHAT,
    "*/messages": Endpoint.CHAT,
    "*/responses": Endpoint.CHAT,
    "*generateContent": Endpoint.CHAT,
    "*/completions": Endpoint.COMPLETION,
    "*/complete": Endpoint.COMPLETION,
    "*/embeddings": Endpoint.EMBEDDING,
    "*/batches*": Endpoint.BATCH,
    "*/files*": Endpoint.FILE,
    "*/images/*": Endpoint.IMAGE,
    "*/audio/*": Endpoint.AUDIO,
    "*/moderations": Endpoint.MODERATION,
    "*/models*": Endpoint.LISTING,
}
"""Classes of common paths, for a map without endpoints."""

Class = TypeVar("Class", bound=IntEnum | IntFlag)


@dataclass(frozen=True, slots=True)
class LogMap:
    """How to read a lab's log: its columns by our names, and patterns for the classes of its names."""

    columns: Mapping[str, str] = field(default_factory=lambda: {name: name for name in COLUMNS})
    named: frozenset[str] = frozenset(REQUIRED)
    ticks: int = 1
    characters: int = 1
    endpoints: Mapping[str, int] = field(default_factory=lambda: dict(ENDPOINTS))
    models: Mapping[str, int] = field(default_factory=dict)
    tools: Mapping[str, int] = field(default_factory=dict)


def classify(patterns: Mapping[str, int], name: str, other: int) -> int:
    """Return the class of the first pattern that matches a name; `other` if none does."""
    for pattern, kind in patterns.items():
        if fnmatchcase(name, pattern):
            return kind
    return other


def load_map(path: Path | None) -> LogMap:
    """Read a map; without a path, columns have our names.

    Raises InputError: BAD_FILE if the file cannot be read, BAD_CONFIG if it is not a map.
    """
    if path is None:
        return _log_map({})
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(Code.BAD_FILE, f"{path} is not UTF-8") from None
    try:
        return _log_map(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(Code.BAD_CONFIG, f"{path}: {error}") from None


def _log_map(tree: Mapping[str, object]) -> LogMap:
    tables = {"columns", "endpoints", "models", "tools"}
    for name in tree.keys() - tables - {"time", "sizes"}:
        raise InputError(
            Code.BAD_CONFIG,
            f"{name} is not a key of a map; the keys are {', '.join(sorted(tables))}, time, sizes",
        )
    columns = _table(tree, "columns")
    for name in columns.keys() - set(COLUMNS):
        raise InputError(Code.BAD_CONFIG, f"{name} is not a column; the columns are {', '.join(COLUMNS)}")
    endpoints = _classes(tree, "endpoints", Endpoint)
    return LogMap(
        {name: columns.get(name, name) for name in COLUMNS},
        frozenset((*REQUIRED, *columns)),
        TICKS[_choice(tree, "time", tuple(TICKS))],
        {"characters": 1, "tokens": TOKEN_CHARACTERS}[_choice(tree, "sizes", ("characters", "tokens"))],
        endpoints | (dict(ENDPOINTS) if not _table(tree, "endpoints") else {}),
        _classes(tree, "models", ModelClass),
        _classes(tree, "tools", Tool),
    )


def _choice(tree: Mapping[str, object], name: str, choices: tuple[str, ...]) -> str:
    value = tree.get(name, choices[0])
    if not isinstance(value, str) or value not in choices:
        raise InputError(Code.BAD_CONFIG, f"{name} must be one of {', '.join(choices)}")
    return value


def _table(tree: Mapping[str, object], name: str) -> dict[str, str]:
    table = tree.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise InputError(Code.BAD_CONFIG, f"[{name}] must be a table of texts")
    return {str(key): str(value) for key, value in table.items()}


def _classes(tree: Mapping[str, object], name: str, kind: type[Class]) -> dict[str, int]:
    classes = {member.name.lower(): int(member) for member in kind if member.name}
    patterns: dict[str, int] = {}
    for pattern, class_name in _table(tree, name).items():
        if class_name not in classes:
            raise InputError(Code.BAD_CONFIG, f"[{name}]: a class must be one of {', '.join(classes)}")
        patterns[pattern] = classes[class_name]
    # A name that equals the name of a class needs no pattern.
    return patterns | {word: value for word, value in classes.items() if word not in patterns}
