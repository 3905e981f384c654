"""The material of vectors: derived bytes instead of random ones, and the form of a case."""

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
    """Return the first `size` bytes of SHA-512(label || counter) for counters 0, 1, 2, ... of four bytes."""
    blocks = -(-size // 64)
    return b"".join(
        hashlib.sha512(label.encode() + counter.to_bytes(4, "big")).digest() for counter in range(blocks)
    )[:size]


def good(name: str, operation: str, given: Value, output: Value | None = None) -> Case:
    """Return the vector of an operation that succeeds."""
    return {"name": name, "operation": operation, "input": given, "output": output or {}}


def bad(name: str, operation: str, given: Value, code: str) -> Case:
    """Return the vector of an operation that fails with a code of SPEC 11. Its name states the fault."""
    return {"name": name, "operation": operation, "input": given, "error": code}


def plain(value: Any) -> Any:
    """Return a value for JSON, with bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def flip(value: bytes, position: int = -1, bit: int = 1) -> bytes:
    """Return bytes with one bit changed."""
    position %= len(value)
    return value[:position] + bytes([value[position] ^ bit]) + value[position + 1 :]


def slug(path: str) -> str:
    """Return a field or its path in the form that names of cases have."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")


def paths(value: Value, before: str = "") -> Iterator[str]:
    """Yield the path of each field, with a dot before the fields of inner structures."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from paths(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def altered(value: Value, path: str) -> Value:
    """Return a structure with the smallest change of one field that its type allows."""
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
