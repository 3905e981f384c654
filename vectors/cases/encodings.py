"""Vectors of the canonical encoding (SPEC 3.1): its types, and every structure that is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from . import records, structures
from .entries import VALUES
from .example import ABORT, CLOSE, EPOCH, HEADER
from .inputs import Case, Value, bad, good, slug
from .records import DECODED
from .structures import Fields, data, join, left_out, sequence, text, uint

ABOUT: Final = "The types of the canonical encoding, and structures well formed and not"
SPEC: Final = "3.1"

DOMAIN: Final = "mandorla/v1 test"


def cases() -> Iterator[Case]:
    """Yield all vectors of encodings except those of indicators and labels, which have their own files."""
    yield from _types()
    yield from _refused_types()
    for name, value in VALUES.items():
        if name not in ("indicator", "label"):
            given = {"structure": name, "value": value}
            yield good(slug(name), "encode", given, {"encoding": join(DECODED[name](value))})
            yield from _malformed(name, DECODED[name](value))
    given = {"structure": "close", "value": ABORT}
    yield good("close-of-an-abort", "encode", given, {"encoding": join(structures.close(ABORT))})
    yield from _particular()


def _field(kind: str, **rest: object) -> Value:
    return {"type": kind, **rest}


def _types() -> Iterator[Case]:
    for name, value, encoding in (
        ("uint-1", _field("uint", width=1, value=255), b"\xff"),
        ("uint-2", _field("uint", width=2, value=258), b"\x01\x02"),
        ("uint-4", _field("uint", width=4, value=1), b"\x00\x00\x00\x01"),
        ("uint-8", _field("uint", width=8, value=2**64 - 1), b"\xff" * 8),
        ("fixed", _field("fixed", size=3, value=b"\x01\x02\x03"), b"\x01\x02\x03"),
        ("data", _field("data", max_length=3, value=b"\x00\xff"), b"\x00\x00\x00\x02\x00\xff"),
        ("data-empty", _field("data", max_length=0, value=b""), bytes(4)),
        ("data-longest", _field("data", max_length=3, value=b"abc"), b"\x00\x00\x00\x03abc"),
        (
            "text",
            _field("text", max_length=6, value="é\U0001f512"),
            b"\x00\x00\x00\x06\xc3\xa9\xf0\x9f\x94\x92",
        ),
        ("text-empty", _field("text", max_length=6, value=""), bytes(4)),
        ("text-decomposed", _field("text", max_length=6, value="e\u0301"), b"\x00\x00\x00\x03e\xcc\x81"),
        ("text-nul", _field("text", max_length=6, value="\x00"), b"\x00\x00\x00\x01\x00"),
        (
            "sequence",
            _field("sequence", max_count=2, width=2, value=[1, 2]),
            b"\x00\x00\x00\x02\x00\x01\x00\x02",
        ),
        ("sequence-empty", _field("sequence", max_count=0, width=2, value=[]), bytes(4)),
    ):
        given = {"domain": DOMAIN, "fields": [value]}
        yield good(f"type-{name}", "encode-fields", given, {"encoding": text(DOMAIN) + encoding})
    yield good("type-none", "encode-fields", {"domain": DOMAIN, "fields": []}, {"encoding": text(DOMAIN)})
    for name, value, code in (
        ("uint-over-its-width", _field("uint", width=1, value=256), "BAD_ENCODING"),
        ("uint-negative", _field("uint", width=1, value=-1), "BAD_ENCODING"),
        ("fixed-short", _field("fixed", size=3, value=b"\x01\x02"), "BAD_LENGTH"),
        ("fixed-long", _field("fixed", size=3, value=b"\x01\x02\x03\x04"), "BAD_LENGTH"),
        ("text-lone-surrogate", _field("text", max_length=6, value="a\ud800"), "BAD_ENCODING"),
    ):
        yield bad(f"type-{name}", "encode-fields", {"domain": DOMAIN, "fields": [value]}, code)


def _refused_types() -> Iterator[Case]:
    three = _field("data", max_length=3)
    words = _field("text", max_length=4)
    numbers = _field("sequence", max_count=2, width=2)
    for name, kind, encoding, code in (
        ("uint-short", _field("uint", width=2), b"\x01", "BAD_ENCODING"),
        ("uint-long", _field("uint", width=2), b"\x00\x01\x02", "BAD_ENCODING"),
        ("fixed-short", _field("fixed", size=3), b"\x01\x02", "BAD_ENCODING"),
        ("fixed-long", _field("fixed", size=3), b"\x01\x02\x03\x04", "BAD_ENCODING"),
        ("data-over-long", three, data(b"abcd"), "BAD_LENGTH"),
        ("data-over-long-by-length-alone", three, b"\xff\xff\xff\xff", "BAD_LENGTH"),
        ("data-short", three, b"\x00\x00\x00\x02\x00", "BAD_ENCODING"),
        ("data-length-cut", three, b"\x00\x00\x00", "BAD_ENCODING"),
        ("data-trailing-byte", three, data(b"ab") + b"\x00", "BAD_ENCODING"),
        ("text-over-long", words, data(b"abcde"), "BAD_LENGTH"),
        ("text-over-long-in-bytes", words, text("ééé"), "BAD_LENGTH"),
        ("text-continuation-alone", words, data(b"a\x80"), "BAD_ENCODING"),
        ("text-cut-in-a-character", words, data(b"a\xc3"), "BAD_ENCODING"),
        ("text-overlong-form", words, data(b"\xc0\x80"), "BAD_ENCODING"),
        ("text-surrogate", words, data(b"\xed\xa0\x80"), "BAD_ENCODING"),
        ("text-over-u10ffff", words, data(b"\xf4\x90\x80\x80"), "BAD_ENCODING"),
        ("text-latin-1", words, data(b"\xe9"), "BAD_ENCODING"),
        ("sequence-too-many", numbers, sequence([bytes(2)] * 3), "BAD_ENCODING"),
        ("sequence-too-many-by-count-alone", numbers, b"\xff\xff\xff\xff", "BAD_ENCODING"),
        ("sequence-short", numbers, b"\x00\x00\x00\x02\x00\x01\x00", "BAD_ENCODING"),
        ("sequence-count-little-endian", numbers, b"\x01\x00\x00\x00\x00\x01", "BAD_ENCODING"),
        ("sequence-trailing-value", numbers, sequence([bytes(2)]) + bytes(2), "BAD_ENCODING"),
    ):
        given = {"domain": DOMAIN, "fields": [kind], "encoding": text(DOMAIN) + encoding}
        yield bad(f"type-decoded-{name}", "decode-fields", given, code)


def _malformed(name: str, fields: Fields) -> Iterator[Case]:
    encoding = join(fields)
    other = "close" if name != "close" else "offer"
    wrong: dict[str, bytes] = {
        "trailing-byte": encoding + b"\x00",
        "short": encoding[:-1],
        "empty": b"",
        "domain-alone": fields["domain"],
        "without-domain": join(left_out(fields, "domain")),
        "domain-of-another-structure": join(fields | {"domain": text(f"mandorla/v1 {other}")}),
        "domain-of-another-version": join(fields | {"domain": text(f"mandorla/v2 {name}")}),
        "domain-without-length": encoding[4:],
        "domain-length-little-endian": encoding[:4][::-1] + encoding[4:],
    }
    for fault, one in wrong.items():
        given = {"structure": name, "encoding": one}
        # A domain may be no longer than the one that is expected; records and entries have several.
        longer = int.from_bytes(one[:4], "big") > len(f"mandorla/v1 {name}")
        several = name.startswith(("audit ", "log "))
        code = "BAD_LENGTH" if len(one) >= 4 and longer and not several else "BAD_ENCODING"
        yield bad(f"{slug(name)}-{fault}", "decode", given, code)


def _particular() -> Iterator[Case]:
    """Yield faults of single fields."""
    header, start = structures.header(HEADER), records.audit_bundle(VALUES["audit bundle"])
    begun = records.key_epoch_begun(VALUES["log key epoch"])
    many = sequence([text(f"type-{number:02}") + uint(1, 2) for number in range(65)])
    for name, fields, field, fault, encoded, code in (
        ("audit bundle", start, "name", "over-long", text("a" * 65), "BAD_LENGTH"),
        ("audit bundle", start, "name", "not-utf-8", data(b"\xff"), "BAD_ENCODING"),
        ("audit bundle", start, "origin", "over-long", text("a" * 256), "BAD_LENGTH"),
        ("audit bundle", start, "origin", "not-utf-8", data(b"\xff"), "BAD_ENCODING"),
        ("log key epoch", begun, "epoch", "empty", data(b""), "BAD_ENCODING"),
        ("log key epoch", begun, "epoch", "trailing-byte", _longer(begun["epoch"]), "BAD_ENCODING"),
        ("key epoch", structures.epoch(EPOCH), "collection", "over-long", text("a" * 33), "BAD_LENGTH"),
        ("key epoch", structures.epoch(EPOCH), "collection", "not-utf-8", data(b"\xff"), "BAD_ENCODING"),
        ("round header", header, "version", "other", text("mandorla/v2"), "VERSION_MISMATCH"),
        ("round header", header, "version", "over-long", text("a" * 65), "BAD_LENGTH"),
        ("round header", header, "suite", "other", text("decaf448-SHAKE256"), "VERSION_MISMATCH"),
        ("round header", header, "suite", "over-long", text("a" * 65), "BAD_LENGTH"),
        ("round header", header, "mode", "zero", uint(0, 1), "BAD_ENCODING"),
        ("round header", header, "mode", "unknown", uint(3, 1), "BAD_ENCODING"),
        ("round header", header, "kind", "zero", uint(0, 1), "BAD_ENCODING"),
        ("round header", header, "kind", "unknown", uint(3, 1), "BAD_ENCODING"),
        ("round header", header, "collection", "over-long", text("a" * 33), "BAD_LENGTH"),
        ("round header", header, "collection", "surrogate", data(b"\xed\xa0\x80"), "BAD_ENCODING"),
        ("round header", header, "profiles", "too-many", many, "BAD_ENCODING"),
        ("round header", header, "profiles", "name-over-long", _profile(text("a" * 65)), "BAD_LENGTH"),
        ("round header", header, "profiles", "name-not-utf-8", _profile(data(b"\xff")), "BAD_ENCODING"),
        ("round header", header, "purpose", "over-long", text("a" * 201), "BAD_LENGTH"),
        ("round header", header, "purpose", "overlong-form", data(b"\xc0\x80"), "BAD_ENCODING"),
        ("round header", header, "legal_basis", "over-long", text("a" * 201), "BAD_LENGTH"),
        ("round header", header, "legal_basis", "not-utf-8", data(b"\xff"), "BAD_ENCODING"),
        ("close", structures.close(CLOSE), "outcome", "zero", uint(0, 1), "BAD_ENCODING"),
        ("close", structures.close(CLOSE), "outcome", "unknown", uint(3, 1), "BAD_ENCODING"),
        ("close", structures.close(CLOSE), "outcome", "aborted-without-code", uint(2, 1), "BAD_ENCODING"),
        ("close", structures.close(CLOSE), "code", "with-a-commit", text("BAD_PROOF"), "BAD_ENCODING"),
        ("close", structures.close(ABORT), "code", "missing", text(""), "BAD_ENCODING"),
        ("close", structures.close(ABORT), "code", "unknown", text("BAD_LUCK"), "BAD_ENCODING"),
        ("close", structures.close(ABORT), "code", "lower-case", text("bad_proof"), "BAD_ENCODING"),
        ("close", structures.close(ABORT), "code", "over-long", text("A" * 65), "BAD_LENGTH"),
    ):
        given = {"structure": name, "encoding": join(fields | {field: encoded})}
        yield bad(f"{slug(name)}-{slug(field)}-{fault}", "decode", given, code)


def _profile(name: bytes) -> bytes:
    return sequence([name + uint(1, 2)])


def _longer(encoded: bytes) -> bytes:
    return data(encoded[4:] + b"\x00")
