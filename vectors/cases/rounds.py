"""Vectors of headers, transcripts and closes, and of the signatures on them (SPEC 9.2 to 9.7)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from . import structures
from .example import ABORT, BLINDED, CLOSE, CREATED, EVALUATED, HEADER, PROOF, REQUEST, REQUEST_DIGEST, A, B
from .inputs import Case, Value, altered, bad, derived, good, paths, slug
from .structures import Fields, faults, join

ABOUT: Final = (
    "Round headers, transcripts, closes, and signatures on structures that leave out or alter a field"
)
SPEC: Final = "9.2 to 9.7"

ANSWER: Final[Value] = {"request": REQUEST_DIGEST, "evaluated": EVALUATED, "proof": PROOF}
HALF: Final[Value] = {
    "header_digest": REQUEST["header_digest"],
    "querier": A.identity,
    "answers": [derived(f"answer {index}", 32) for index in range(3)],
}


def cases() -> Iterator[Case]:
    """Yield all vectors of rounds."""
    yield from _digests()
    yield from _headers()
    yield from _signed("header", "round header", HEADER, structures.header(HEADER))
    yield from _signed("close", "close", CLOSE, structures.close(CLOSE))
    yield from _signed("abort", "close", ABORT, structures.close(ABORT))
    yield from _compared()


def _digest(fields: Fields) -> Value:
    return {"digest": hashlib.sha256(join(fields)).digest()}


def _digests() -> Iterator[Case]:
    for operation, encode, value in (
        ("header-digest", structures.header, HEADER),
        ("request-digest", structures.chunk_request, REQUEST),
        ("answer-digest", structures.chunk_answer, ANSWER),
        ("half-digest", structures.half, HALF),
    ):
        yield good(operation, operation, value, _digest(encode(value)))
        for path in paths(value):
            other = altered(value, path)
            yield good(f"{operation}-altered-{slug(path)}", operation, other, _digest(encode(other)))
    moved = REQUEST | {"blinded": BLINDED[32:] + BLINDED[:32]}
    yield good("request-digest-reordered", "request-digest", moved, _digest(structures.chunk_request(moved)))
    # The hash also covers the border between two fields.
    shifted = ANSWER | {"evaluated": EVALUATED + PROOF[:32], "proof": PROOF[32:]}
    yield good("answer-digest-shifted", "answer-digest", shifted, _digest(structures.chunk_answer(shifted)))
    for name, answers in (
        ("empty", []),
        ("reordered", HALF["answers"][::-1]),
        ("one-fewer", HALF["answers"][:-1]),
    ):
        other = HALF | {"answers": answers}
        yield good(f"half-digest-{name}", "half-digest", other, _digest(structures.half(other)))


def _headers() -> Iterator[Case]:
    operation = "check-header"
    for name, now in (("at-once", CREATED), ("early", CREATED - 300), ("late", CREATED + 3_599)):
        yield good(f"header-{name}", operation, {"value": HEADER, "now": now})
    for name, now in (("expired", CREATED + 3_600), ("too-early", CREATED - 301), ("long-past", 2**40)):
        yield bad(f"header-{name}", operation, {"value": HEADER, "now": now}, "HEADER_EXPIRED")
    watch = HEADER | {"kind": 2}
    yield good("header-watch", operation, {"value": watch, "now": CREATED})
    longest = HEADER | {"expires": CREATED + 7 * 86_400}
    yield good("header-of-seven-days", operation, {"value": longest, "now": CREATED})
    text = HEADER | {"purpose": "é" * 100, "legal_basis": "x" * 200}
    yield good("header-texts-of-200-bytes", operation, {"value": text, "now": CREATED})
    offer = HEADER["responder"]["offer"]
    greatest = {"version": 2**40, "size": 2**40, "root": offer["table"]["root"]}
    limits = offer | {"cap": 2**32, "budget": 2**32, "table": greatest}
    most = HEADER | {"responder": HEADER["responder"] | {"offer": limits}}
    yield good("header-greatest-offer", operation, {"value": most, "now": CREATED})
    for name, fault in _bad_headers().items():
        given = {"value": HEADER | fault, "now": CREATED}
        yield bad(f"header-{name}", operation, given, "BAD_HEADER")


def _bad_headers() -> dict[str, Value]:
    """Return headers that are not valid, by the fault."""
    found: dict[str, Value] = {
        "labs-not-distinct": {"responder": HEADER["responder"] | {"lab": A.identity}},
        "mode-standing": {"mode": 2},
        "profiles-not-sorted": {"profiles": [["ipv4", 1], ["domain", 1]]},
        "profiles-not-distinct": {"profiles": [["domain", 1], ["domain", 1]]},
        "lifetime-zero": {"expires": CREATED},
        "lifetime-negative": {"expires": CREATED - 1},
        "lifetime-over-seven-days": {"expires": CREATED + 7 * 86_400 + 1},
    }
    for field in ("purpose", "legal_basis"):
        for name, text in (
            ("empty", ""),
            ("blank", "   "),
            ("of-201-bytes", "x" * 201),
            ("of-101-wide-characters", "é" * 101),
            ("newline", "a\nb"),
            ("nul", "a\x00b"),
            ("bidi-override", "a\u202eb"),
            ("no-break-space", "a\u00a0b"),
            ("private-use", "a\ue000b"),
        ):
            found[f"{slug(field)}-{name}"] = {field: text}
    for party in ("initiator", "responder"):
        offer = HEADER[party]["offer"]
        table = offer["table"]
        for name, fault in (
            ("epoch-zero", {"epoch_number": 0}),
            ("cap-zero", {"cap": 0}),
            ("cap-over-budget", {"cap": offer["budget"] + 1}),
            ("cap-over-2-32", {"cap": 2**32 + 1, "budget": 2**33}),
            ("table-version-zero", {"table": table | {"version": 0}}),
            ("table-versions-over-entries", {"table": table | {"version": table["size"] + 1}}),
            ("table-over-2-40", {"table": table | {"size": 2**40 + 1}}),
        ):
            found[f"{party}-{name}"] = {party: HEADER[party] | {"offer": offer | fault}}
    return found


def _signed(name: str, structure: str, value: Value, fields: Fields) -> Iterator[Case]:
    operation = "verify-structure"
    given = {"structure": structure, "value": value, "identity": A.identity}
    yield good(f"{name}-signature", operation, given | {"signature": A.sign(join(fields))})
    for fault, faulty in faults(fields).items():
        signature = A.sign(join(faulty))
        yield bad(
            f"{name}-signature-{slug(fault)}", operation, given | {"signature": signature}, "BAD_SIGNATURE"
        )
    for fault, signature in (
        ("of-the-other-lab", B.sign(join(fields))),
        ("on-the-digest", A.sign(hashlib.sha256(join(fields)).digest())),
        ("trailing-byte", A.sign(join(fields) + b"\x00")),
    ):
        yield bad(f"{name}-signature-{fault}", operation, given | {"signature": signature}, "BAD_SIGNATURE")


def _compared() -> Iterator[Case]:
    yield good("close-same", "compare-close", {"own": CLOSE, "peer": CLOSE})
    for path in paths(CLOSE):
        peer = ABORT if path in ("outcome", "code") else altered(CLOSE, path)
        name = f"close-other-{slug(path)}"
        yield bad(name, "compare-close", {"own": CLOSE, "peer": peer}, "TRANSCRIPT_MISMATCH")
    exchanged = CLOSE | {
        "initiator_half": CLOSE["responder_half"],
        "responder_half": CLOSE["initiator_half"],
    }
    yield bad(
        "close-halves-exchanged", "compare-close", {"own": CLOSE, "peer": exchanged}, "TRANSCRIPT_MISMATCH"
    )
