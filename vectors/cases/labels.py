"""Vectors of tags, label keys, labels and their sealing (SPEC 6)."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .. import second_verifier as group
from . import structures
from .example import EPOCH, LABEL, SECRET, TOKENS
from .inputs import Case, Value, altered, bad, derived, flip, good, paths, slug
from .structures import Fields, changed, domain, faults, join, left_out, text

ABOUT: Final = "Tags, label keys, labels, sealed labels, and those that do not open"
SPEC: Final = "6"

OUTPUT: Final = group.evaluate(SECRET, TOKENS[:32])
VERSION: Final = 3


def label_key(output: bytes) -> bytes:
    """Derive the label key (SPEC 6.2): the first 32 bytes of HKDF-Expand's first block (RFC 5869)."""
    return hmac.digest(output[16:], join(domain("label key")) + b"\x01", "sha512")[:32]


KEY: Final = label_key(OUTPUT)
SEALED: Final[Value] = {"key": KEY, "tag": OUTPUT[:16], "epoch": EPOCH, "version": VERSION}


def seal(plaintext: bytes, aad: Fields, key: bytes = KEY, version: int = VERSION) -> bytes:
    """Seal a padded label (SPEC 6.4)."""
    return ChaCha20Poly1305(key).encrypt(version.to_bytes(12, "big"), plaintext, join(aad))


AAD: Final = structures.sealed_label(SEALED)
PADDED: Final = join(structures.label(LABEL))


def cases() -> Iterator[Case]:
    """Yield all vectors of tags and labels."""
    for name, output in (("output", OUTPUT), ("output-other", group.evaluate(SECRET, TOKENS[32:64]))):
        result = {"tag": output[:16], "label_key": label_key(output)}
        yield good(f"split-{name}", "split-output", {"output": output}, result)
    for name, output in (("empty", b""), ("short", OUTPUT[:-1]), ("long", OUTPUT + b"\x00")):
        yield bad(f"split-output-{name}", "split-output", {"output": output}, "BAD_LENGTH")
    yield from _values()
    yield from _sealed()
    yield from _malformed_inside()


def _values() -> Iterator[Case]:
    extremes: Value = {
        "reason": 5,
        "severity": 4,
        "confidence": 100,
        "first_seen": 2**40 - 1,
        "expires": 2**40 - 1,
        "tlp": 4,
    }
    least: Value = dict.fromkeys(extremes, 0) | {"severity": 1}
    named = {"label": LABEL, "label-greatest": extremes, "label-least": least}
    for number in range(6):
        members = {"reason": number, "severity": 1 + number % 4, "tlp": number % 5}
        named[f"label-members-{number}"] = LABEL | members
    for name, value in named.items():
        encoding = join(structures.label(value))
        yield good(name, "encode", {"structure": "label", "value": value}, {"encoding": encoding})
    for name, encoding in malformed().items():
        yield bad(f"label-{name}", "decode", {"structure": "label", "encoding": encoding}, "BAD_LABEL")


def malformed() -> dict[str, bytes]:
    """Return bytes that are no padded label, by the fault."""
    fields = structures.label(LABEL)
    out_of_range = {
        "reason": 6,
        "severity": 5,
        "confidence": 101,
        "first_seen": 2**40,
        "expires": 2**40,
        "tlp": 5,
    }
    found = {
        f"{slug(name)}-out-of-range": join(structures.label(LABEL | {name: value}))
        for name, value in out_of_range.items()
    }
    found["severity-zero"] = join(structures.label(LABEL | {"severity": 0}))
    without_domain = join(left_out(fields, "domain")).ljust(256, b"\x00")
    return found | {
        "without-domain": without_domain,
        "nonzero-padding": join(changed(fields, "padding")),
        "nonzero-padding-first": join(fields | {"padding": b"\x01" + fields["padding"][1:]}),
        "short": PADDED[:-1],
        "trailing-byte": PADDED + b"\x00",
        "empty": b"",
        "unpadded": PADDED.rstrip(b"\x00"),
        "zeros": bytes(256),
        "domain-of-another-version": join(fields | {"domain": text("mandorla/v2 label")}),
        "domain-of-another-structure": join(fields | {"domain": text("mandorla/v1 close")}),
    }


def _sealed() -> Iterator[Case]:
    sealed = seal(PADDED, AAD)
    yield good("seal", "seal", SEALED | {"label": LABEL}, {"sealed": sealed})
    yield good("open", "open", SEALED | {"sealed": sealed}, {"label": LABEL})
    for path in paths(SEALED):
        value = altered(SEALED, path)
        again = seal(PADDED, structures.sealed_label(value), value["key"], value["version"])
        yield good(f"seal-other-{slug(path)}", "seal", value | {"label": LABEL}, {"sealed": again})
        yield _unopened(f"label-opened-with-other-{slug(path)}", sealed, value)
    # The version is in the nonce and in the AAD: each is altered by itself too.
    for name, aad in faults(AAD).items():
        yield _unopened(f"label-aad-{slug(name)}", seal(PADDED, aad))
    for path in paths(EPOCH):
        aad = structures.sealed_label(SEALED | {"epoch": altered(EPOCH, path)})
        yield _unopened(f"label-aad-altered-epoch-{slug(path)}", seal(PADDED, aad))
    yield _unopened("label-aad-empty", seal(PADDED, {}))
    yield _unopened("label-nonce-altered", seal(PADDED, AAD, version=VERSION + 1))
    little = int.from_bytes(VERSION.to_bytes(12, "little"), "big")
    yield _unopened("label-nonce-little-endian", seal(PADDED, AAD, version=little))
    yield _unopened("label-key-of-another", seal(PADDED, AAD, key=derived("label key", 32)))
    yield _unopened("label-key-of-the-whole-output", seal(PADDED, AAD, key=_of_the_whole_output()))
    yield _unopened("label-ciphertext-altered", flip(sealed, 0))
    yield _unopened("label-authenticator-altered", flip(sealed))
    for name, wrong in (
        ("short", sealed[:-1]),
        ("long", sealed + b"\x00"),
        ("empty", b""),
        ("without-authenticator", sealed[:-16]),
        ("random", derived("sealed label", 272)),
    ):
        yield _unopened(f"label-sealed-{name}", wrong)


def _of_the_whole_output() -> bytes:
    """Return the label key of an implementation that forgets to cut off the tag, which is public."""
    return hmac.digest(OUTPUT, join(domain("label key")) + b"\x01", "sha512")[:32]


def _unopened(name: str, sealed: bytes, given: Value = SEALED) -> Case:
    return bad(name, "open", given | {"sealed": sealed}, "BAD_LABEL")


def _malformed_inside() -> Iterator[Case]:
    for name, plaintext in malformed().items():
        yield _unopened(f"label-sealed-{name}-inside", seal(plaintext, AAD))
