"""Vectors of cards (SPEC 9.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from . import structures
from .entries import card_members, card_of
from .example import A, B
from .inputs import Case, Value, bad, derived, flip, good, slug
from .structures import faults, join

ABOUT: Final = "Cards, and what is not one"
SPEC: Final = "9.1"

CARD: Final = card_of(A)
DATED: Final = CARD | {"issued": 1_800_000_000}


def members(value: Value, signature: bytes | None = None) -> dict[str, Any]:
    """Return a card's members, signed by lab A unless a signature is given."""
    signature = A.sign(join(structures.card(value))) if signature is None else signature
    return card_members(value, signature)


def cases() -> Iterator[Case]:
    """Yield all vectors of cards."""
    for name, change in {
        "": {},
        "-name-of-one": {"name": "a"},
        "-name-of-63": {"name": "a" * 63},
        "-name-inner-hyphens": {"name": "a--b-1"},
        "-ipv4": {"endpoint": "192.0.2.1:1"},
        "-ipv6": {"endpoint": "[2001:db8::1]:65535"},
        "-log-origin-of-255": {"log_origin": "é" * 255},
        "-log-origin-of-one": {"log_origin": "a"},
    }.items():
        yield _good(f"card{name}", CARD | change)
    for fault, fields in faults(structures.card(CARD)).items():
        # The members are those of lab A's card, but the signature is on other fields.
        yield _bad(f"signature-{slug(fault)}", members(CARD, A.sign(join(fields))))
    for name, issued in {"": 1_800_000_000, "-issued-at-1": 1, "-latest": 2**40 - 1}.items():
        yield _good(f"card-dated{name}", DATED | {"issued": issued})
    for fault, fields in faults(structures.card(DATED)).items():
        yield _bad(f"dated-signature-{slug(fault)}", members(DATED, A.sign(join(fields))))
    for fault, one in (_members() | _dates()).items():
        yield _bad(fault, one)
    for fault, change in _fields().items():
        yield _bad(fault, members(CARD | change))
    whole = members(CARD)
    text = json.dumps(whole)
    yield good("card-text", "read-card-text", {"text": text}, _output(CARD))
    for fault, wrong in {
        "empty": "",
        "not-json": text[:-1],
        "trailing-text": text + "x",
        "member-null": json.dumps(whole | {"log_origin": None}),
        "array": json.dumps([whole]),
        "over-16384-characters": text + " " * (16_385 - len(text)),
    }.items():
        yield bad(f"card-text-{fault}", "read-card-text", {"text": wrong}, "BAD_CARD")


def _good(name: str, value: Value) -> Case:
    return good(name, "read-card", {"card": members(value)}, _output(value))


def _output(value: Value) -> Value:
    return value | {"certificate_hash": hashlib.sha256(value["certificate"]).digest()}


def _bad(fault: str, one: dict[str, Any]) -> Case:
    return bad(f"card-{fault}", "read-card", {"card": one}, "BAD_CARD")


def _members() -> dict[str, dict[str, Any]]:
    """Return faulty members of a card, by the fault."""
    whole = members(CARD)
    found = {f"missing-{slug(name)}": {n: one for n, one in whole.items() if n != name} for name in whole}
    signature = A.sign(join(structures.card(CARD)))
    unreduced = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    return found | {
        "unknown-member": whole | {"motto": "none"},
        "other-format": whole | {"format": "mandorla/v2 card"},
        "member-number": whole | {"name": 1},
        "identity-not-base64": whole | {"identity": "*" + whole["identity"][1:]},
        "signature-url-base64": whole | {"signature": whole["signature"].replace("/", "_").replace("+", "-")},
        "identity-in-hexadecimal": whole | {"identity": A.identity.hex()},
        "signature-altered": members(CARD, flip(signature)),
        "signature-short": members(CARD, signature[:-1]),
        "signature-empty": members(CARD, b""),
        "signature-unreduced": members(CARD, signature[:32] + unreduced.to_bytes(32, "little")),
        "signature-of-another-lab": members(CARD, B.sign(join(structures.card(CARD)))),
    }


def _dates() -> dict[str, dict[str, Any]]:
    """Return cards whose time of issue was not signed, or is no valid time, by the fault."""
    whole, undated = members(DATED), members(CARD)
    never = {
        f"dated-issued-{name}": whole | {"issued": value}
        for name, value in {
            "text": "1800000000",
            "fraction": 1_800_000_000.5,
            "true": True,
            "null": None,
            "negative": -1,
        }.items()
    }
    return never | {
        "dated-without-issued": {name: one for name, one in whole.items() if name != "issued"},
        "dated-issued-later": whole | {"issued": DATED["issued"] + 1},
        "dated-issued-at-zero": members(DATED) | {"issued": 0},
        "dated-issued-at-2-40": members(DATED | {"issued": 2**40}),
        "undated-with-issued": undated | {"issued": 1_800_000_000},
        "undated-with-issued-zero": undated | {"issued": 0},
        "dated-as-undated": undated | {"signature": whole["signature"]},
        "undated-as-dated": whole | {"signature": undated["signature"]},
    }


def _fields() -> dict[str, Value]:
    """Return fields that break their syntax, for a card with a valid signature, by the fault."""
    host = "a" * 254
    return {
        "name-empty": {"name": ""},
        "name-of-64": {"name": "a" * 64},
        "name-upper-case": {"name": "Lab-a"},
        "name-leading-hyphen": {"name": "-lab"},
        "name-trailing-hyphen": {"name": "lab-"},
        "name-trailing-newline": {"name": "lab-a\n"},
        "name-space": {"name": "lab a"},
        "name-not-ascii": {"name": "läb"},
        "endpoint-without-port": {"endpoint": "node.example"},
        "endpoint-empty-port": {"endpoint": "node.example:"},
        "endpoint-port-65536": {"endpoint": "node.example:65536"},
        "endpoint-port-signed": {"endpoint": "node.example:+1"},
        "endpoint-port-arabic-digits": {"endpoint": "node.example:٧٤٤٣"},
        "endpoint-host-empty": {"endpoint": ":7443"},
        "endpoint-host-of-254": {"endpoint": f"{host}:7443"},
        "endpoint-underscore": {"endpoint": "no_de.example:7443"},
        "endpoint-url": {"endpoint": "https://node.example:7443"},
        "endpoint-ipv6-without-brackets": {"endpoint": "2001:db8::1:7443"},
        "endpoint-trailing-newline": {"endpoint": "node.example:7443\n"},
        "log-origin-empty": {"log_origin": ""},
        "log-origin-of-256": {"log_origin": "a" * 256},
        "log-origin-newline": {"log_origin": "a\nb"},
        "log-origin-space": {"log_origin": "a b"},
        "log-origin-plus": {"log_origin": "a+b"},
        "log-origin-bidi-override": {"log_origin": "a\u202eb"},
        "log-origin-no-break-space": {"log_origin": "a\u00a0b"},
        "identity-short": {"identity": A.identity[:-1]},
        "identity-long": {"identity": A.identity + b"\x00"},
        "identity-empty": {"identity": b""},
        "identity-of-another": {"identity": B.identity},
        "identity-small-order": {"identity": (1).to_bytes(32, "little")},
        "identity-random": {"identity": derived("no identity", 32)},
    }
