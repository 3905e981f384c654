"""The reader of STIX 2.1 bundles: an indicator's pattern, or a cyber-observable, gives one row or more.

Row numbers count the objects of the bundle from 1. The free text and the id of an object are never used or
shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mandorla_protocol.errors import Code, InputError, MandorlaError
from mandorla_protocol.labels import Label

from .json_stream import End, Json, Path, stream
from .lines import Source
from .rows import IngestRow, RejectedRow, RowDefaults, label_from, name_of
from .stix_patterns import CUSTOM, OBJECTS, PatternError, read_pattern, typed_value
from .tlp import strictest_marking

LABEL_EXTENSION: Final = "extension-definition--7c1b0d4e-6d1f-4f4a-9d0c-0d7f0a3f5a11"
"""Mandorla's own extension: the `reason` and `severity` of a label, and the `group` of fingerprints."""

CONTEXT: Final = frozenset(
    {
        "attack-pattern",
        "campaign",
        "course-of-action",
        "extension-definition",
        "grouping",
        "identity",
        "infrastructure",
        "intrusion-set",
        "language-content",
        "location",
        "malware",
        "malware-analysis",
        "marking-definition",
        "note",
        "observed-data",
        "opinion",
        "relationship",
        "report",
        "sighting",
        "threat-actor",
        "tool",
        "vulnerability",
    }
)
"""The types of objects around indicators, which the reader skips."""

_OBSERVABLES: Final = frozenset(
    {
        "artifact",
        "autonomous-system",
        "directory",
        "email-message",
        "file",
        "mac-addr",
        "mutex",
        "network-traffic",
        "process",
        "software",
        "user-account",
        "windows-registry-key",
        "x509-certificate",
    }
)
_REASONS: Final = {"anonymization": "proxy-infrastructure"}

_NO_TYPE: Final = "It is of no type of the registry."


def read_stix(source: Source, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    """Read a bundle; an unusable object becomes a `RejectedRow` with its number.

    Raises InputError(BAD_FILE) if the file is not a bundle.
    """
    number, is_bundle = 0, False
    for found in stream(source, _wanted):
        if isinstance(found, End):
            continue
        if found.path == ("type",):
            is_bundle = found.value == "bundle"
        else:
            number += 1
            if found.fault:
                yield RejectedRow(number, Code.BAD_INPUT, found.fault)
            else:
                yield from _rows(number, found.value, defaults)
    if not is_bundle:
        raise InputError(Code.BAD_FILE, "the file is not a STIX bundle")


def _wanted(path: Path) -> bool:
    return path in (("type",), ("objects", "*"))


def _rows(number: int, item: Json, defaults: RowDefaults) -> Iterator[IngestRow | RejectedRow]:
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(kind, str):
        yield RejectedRow(number, Code.BAD_INPUT, "It is not a STIX object.")
    elif kind == "indicator":
        yield from _indicator(number, item, defaults)
    elif kind in OBJECTS or kind.startswith(CUSTOM):
        yield _observable(number, OBJECTS.get(kind) or kind.removeprefix(CUSTOM), item, defaults)
    elif kind not in CONTEXT:
        reason = _NO_TYPE if kind in _OBSERVABLES else "It is not an object of STIX 2.1."
        yield RejectedRow(number, Code.UNKNOWN_TYPE, reason)


def _indicator(
    number: int, item: dict[str, Json], defaults: RowDefaults
) -> Iterator[IngestRow | RejectedRow]:
    pattern = item.get("pattern")
    if not isinstance(pattern, str) or item.get("pattern_type", "stix") != "stix":
        yield RejectedRow(number, Code.BAD_INPUT, "Its pattern is not a STIX pattern.")
        return
    try:
        alternatives = read_pattern(pattern)
        label = _label(item, defaults)
        group = _text(_extension(item), "group") or defaults.group
    except PatternError as error:
        yield RejectedRow(number, Code.BAD_INPUT, str(error))
        return
    except MandorlaError as error:
        yield RejectedRow(number, error.code, error.detail)
        return
    for alternative in alternatives:
        if alternative is None:
            yield RejectedRow(number, Code.UNKNOWN_TYPE, _NO_TYPE)
        else:
            yield IngestRow(number, *alternative, label, group)


def _observable(
    number: int, kind: str, item: dict[str, Json], defaults: RowDefaults
) -> IngestRow | RejectedRow:
    value = item.get("value")
    if not defaults.observed:
        reason = "An observable was seen, but not judged malicious; ingest it with --as observed."
        return RejectedRow(number, Code.BAD_INPUT, reason)
    if not isinstance(value, str):
        return RejectedRow(number, Code.BAD_INPUT, "It has no value.")
    typed = typed_value(kind, value)
    if typed is None:
        return RejectedRow(number, Code.UNKNOWN_TYPE, _NO_TYPE)
    try:
        group = _text(_extension(item), "group") or defaults.group
    except InputError as error:
        return RejectedRow(number, error.code, error.detail)
    return IngestRow(number, *typed, group=group)


def _label(item: dict[str, Json], defaults: RowDefaults) -> Label:
    """Return the label of an indicator; raises MandorlaError for a bad property."""
    kinds = _texts(item, "indicator_types")
    if "benign" in kinds:
        raise InputError(Code.BAD_INPUT, "Its type says that it is benign.")
    fields = {
        "reason": next((_REASONS[kind] for kind in kinds if kind in _REASONS), ""),
        "confidence": _confidence(item),
        "first_seen": _text(item, "valid_from"),
        "expires": _text(item, "valid_until"),
    }
    if (level := strictest_marking(_list(item, "object_marking_refs"))) is not None:
        fields["tlp"] = name_of(level)
    extension = _extension(item)
    for name in ("reason", "severity"):
        fields[name] = _text(extension, name) or fields.get(name, "")
    if item.get("revoked") is True:
        if defaults.observed:
            raise InputError(Code.BAD_INPUT, "It was revoked.")
        # With an expired label, the next version of each table revokes the indicator.
        fields["expires"] = _text(item, "modified") or "1"
    return label_from(fields, defaults.label)


def _extension(item: dict[str, Json]) -> dict[str, Json]:
    extensions = item.get("extensions")
    extension = extensions.get(LABEL_EXTENSION) if isinstance(extensions, dict) else None
    return extension if isinstance(extension, dict) else {}


def _confidence(item: dict[str, Json]) -> str:
    value = item.get("confidence")
    if value is None:
        return ""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(Code.BAD_INPUT, "The confidence is a whole number.")
    return str(value)


def _text(item: dict[str, Json], name: str) -> str:
    value = item.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(Code.BAD_INPUT, f"The {name} is not a text.")
    return value


def _list(item: dict[str, Json], name: str) -> list[Json]:
    value = item.get(name, [])
    if not isinstance(value, list):
        raise InputError(Code.BAD_INPUT, f"The {name} is not a list.")
    return value


def _texts(item: dict[str, Json], name: str) -> list[str]:
    return [text for text in _list(item, name) if isinstance(text, str)]
