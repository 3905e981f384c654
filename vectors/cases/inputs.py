"""What vectors are made of: bytes that look random and can be recomputed, and the shape of a case."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

Case: TypeAlias = dict[str, Any]
"""A vector, with bytes where its file has hexadecimal digits."""

Value: TypeAlias = dict[str, Any]
"""A structure's fields by name: integers, texts, bytes, lists and further structures."""


def derived(label: str, size: int) -> bytes:
    """Return `size` bytes: SHA-512 of the label and a counter in four bytes, for 0, 1, 2, ..., and cut."""
    blocks = -(-size // 64)
    return b"".join(
        hashlib.sha512(label.encode() + counter.to_bytes(4, "big")).digest() for counter in range(blocks)
    )[:size]


def good(name: str, operation: str, given: Value, output: Value | None = None) -> Case:
    """Make a vector of an operation that succeeds."""
    return {"name": name, "operation": operation, "input": given, "output": output or {}}


def bad(name: str, operation: str, given: Value, code: str) -> Case:
    """Make a vector of an operation that fails with a code of SPEC 11; its name says what the fault is."""
    return {"name": name, "operation": operation, "input": given, "error": code}


def plain(value: Any) -> Any:
    """Return a value as JSON has it: bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def flip(value: bytes, position: int = -1, bit: int = 1) -> bytes:
    """Change one bit."""
    position %= len(value)
    return value[:position] + bytes([value[position] ^ bit]) + value[position + 1 :]


def slug(path: str) -> str:
    """Write a field or its path as a part of a name."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")


def paths(value: Value, before: str = "") -> Iterator[str]:
    """Yield the path of every field, those of inner structures behind a dot."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from paths(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def altered(value: Value, path: str) -> Value:
    """Return the structure with one field altered, as little as its type allows."""
    name, _, rest = path.partition(".")
    inner = value[name]
    return value | {name: altered(inner, rest) if rest else _other(inner)}


def _other(value: Any) -> Any:
    match value:
        case int():
            return value + 1
        case bytes():
            return flip(value) if value else b"\x00"
        case str():
            return value + "x"
        case list():
            return [*value[:-1], _other(value[-1])]
    raise TypeError(value)
