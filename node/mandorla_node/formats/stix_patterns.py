"""STIX patterns for one value, or for alternatives: from a pattern to registry types, and back.

A pattern with more (AND, FOLLOWEDBY, qualifiers, operators other than equality) is not an indicator of the
registry: with a part of such a pattern, a lab would flag indicators that the pattern's author did not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAX_PATTERN: Final = 65_536
"""The most characters of a pattern."""

CUSTOM: Final = "x-mandorla-"
"""The prefix of custom objects, for registry types that STIX lacks; their property is `value`."""

PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ipv4-addr:value": "ipv4",
        "ipv6-addr:value": "ipv6",
        "domain-name:value": "domain",
        "url:value": "url",
        "email-addr:value": "email",
        "email-message:from_ref.value": "email",
        "email-message:sender_ref.value": "email",
        "network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'": "user-agent",
    }
)
"""The registry type of a comparison for equality, by object path."""

OBJECTS: Final[Mapping[str, str]] = MappingProxyType(
    {path.removesuffix(":value"): kind for path, kind in PATHS.items() if path.endswith(":value")}
)
"""The registry type of the value of a cyber-observable, by object type."""

_WRITTEN: Final = MappingProxyType({kind: f"{name}:value" for name, kind in OBJECTS.items()})
_NETWORKS: Final = MappingProxyType({"ipv4-net24": "ipv4-addr:value", "ipv6-net64": "ipv6-addr:value"})
_NETWORK_SIZES: Final = MappingProxyType(
    {
        ("ipv4", "32"): "ipv4",
        ("ipv4", "24"): "ipv4-net24",
        ("ipv6", "128"): "ipv6",
        ("ipv6", "64"): "ipv6-net64",
    }
)

_STEP: Final = r"(?:[A-Za-z0-9_-]+|'[^'\\]*')"
_PATH: Final = re.compile(rf"\s*([A-Za-z0-9-]+:{_STEP}(?:\.{_STEP}|\[(?:\*|[0-9]+)\])*)\s*")
_OPERATOR: Final = re.compile(r"(==?|LIKE\b|IN\b)\s*")
_LITERAL: Final = re.compile(r"'((?:[^'\\]|\\['\\])*+)'\s*")
_SEPARATOR: Final = re.compile(r"(OR\b|\]|,|\))\s*")
_OPEN: Final = re.compile(r"\s*(?:OR\b\s*)?\[")
_ESCAPE: Final = re.compile(r"\\(.)")
_UNESCAPED: Final = re.compile(r"(['\\])")

TypedValue = tuple[str, str]
"""A registry type, and a text of one of its values."""


class PatternError(ValueError):
    """A pattern is unusable; the message contains nothing of the pattern."""


def read_pattern(pattern: str) -> list[TypedValue | None]:
    """Return the alternatives of a pattern, None for one without a registry type.

    Raises PatternError if the pattern is not a list of alternatives of equality.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"Its pattern is longer than {MAX_PATTERN:,} characters.")
    found: list[TypedValue | None] = []
    position = 0
    while position < len(pattern):
        opened = _OPEN.match(pattern, position)
        if opened is None or (position == 0) == ("OR" in opened[0]):
            raise _unsupported()
        position = _observation(pattern, opened.end(), found)
    if not found:
        raise _unsupported()
    return found


def write_pattern(kind: str, value: str) -> str:
    """Return the pattern of an indicator, which `read_pattern` reads back."""
    if kind == "mail-domain":
        return f"[email-addr:value LIKE {_literal(f'%@{value}')}]"
    path = _WRITTEN.get(kind) or _NETWORKS.get(kind) or f"{CUSTOM}{kind}:value"
    return f"[{path} = {_literal(value)}]"


def typed_value(kind: str, text: str) -> TypedValue | None:
    """Return the type and value of a text: of an address, a network, or None for a network without a type."""
    if kind not in ("ipv4", "ipv6"):
        return kind, text
    address, slash, size = text.partition("/")
    if not slash:
        return kind, text
    exact = _NETWORK_SIZES.get((kind, size))
    if exact is None:
        return None
    return exact, address if exact == kind else text


def _observation(pattern: str, position: int, found: list[TypedValue | None]) -> int:
    """Read comparisons up to the closing bracket; return the position after it."""
    while True:
        path = _PATH.match(pattern, position)
        operator = _OPERATOR.match(pattern, path.end()) if path else None
        if path is None or operator is None:
            raise _unsupported()
        position = operator.end()
        texts = []
        listed = operator[1] == "IN"
        if listed:
            if not pattern.startswith("(", position):
                raise _unsupported()
            position += 1
        while True:
            literal = _LITERAL.match(pattern, position)
            separator = _SEPARATOR.match(pattern, literal.end()) if literal else None
            if literal is None or separator is None:
                raise _unsupported()
            texts.append(_ESCAPE.sub(r"\1", literal[1]))
            position = separator.end()
            if not (listed and separator[1] == ","):
                break
        if listed:
            if separator[1] != ")":
                raise _unsupported()
            separator = _SEPARATOR.match(pattern, position)
            if separator is None:
                raise _unsupported()
            position = separator.end()
        found += [_compared(path[1], operator[1], text) for text in texts]
        if separator[1] == "]":
            return position
        if separator[1] != "OR":
            raise _unsupported()


def _compared(path: str, operator: str, text: str) -> TypedValue | None:
    if operator == "LIKE":
        domain = text.removeprefix("%@")
        plain = domain != text and not {"%", "_"} & set(domain)
        return ("mail-domain", domain) if path == "email-addr:value" and plain else None
    if path.startswith(CUSTOM) and path.endswith(":value"):
        return path.removeprefix(CUSTOM).removesuffix(":value"), text
    kind = PATHS.get(path)
    return typed_value(kind, text) if kind else None


def _literal(text: str) -> str:
    return "'" + _UNESCAPED.sub(r"\\\1", text) + "'"


def _unsupported() -> PatternError:
    return PatternError(
        "Its pattern is not one value, or a list of alternative values, of the registry's types."
    )
