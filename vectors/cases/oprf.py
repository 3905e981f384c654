"""Vectors of keys, blinding, elements, evaluation and unblinding (SPEC 5.1 to 5.4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Final

from .. import second_verifier as group
from ..second_verifier import L, P, Refused
from . import structures
from .example import (
    BLINDED,
    BLINDS,
    EPOCH,
    EVALUATED,
    NONCE,
    PROOF,
    PUBLIC_KEY,
    REQUEST_DIGEST,
    SECRET,
    TOKENS,
    UNIFORM,
    A,
    B,
)
from .inputs import Case, Value, altered, bad, derived, flip, good, paths, slug
from .structures import join

ABOUT: Final = "Key derivation, blinding, strict decoding, evaluation, unblinding and the proof's nonce"
SPEC: Final = "5"

GENERATOR: Final = group.encode(group.GENERATOR)
EPOCH_INFO: Final = join(structures.epoch(EPOCH))


def cases() -> Iterator[Case]:
    """Yield all vectors of the OPRF except those of proofs."""
    yield from _keys()
    yield from _blinding()
    yield from _elements()
    yield from _evaluation()
    yield from _finalization()
    yield from _nonces()


def _keys() -> Iterator[Case]:
    for name, seed, info in (
        ("key", B.epoch_seed, EPOCH_INFO),
        ("key-of-the-other-direction", A.epoch_seed, join(structures.epoch(A.epoch(B)))),
        ("key-empty-info", B.epoch_seed, b""),
        ("key-zero-seed", bytes(32), EPOCH_INFO),
    ):
        yield good(name, "derive-key-pair", {"seed": seed, "info": info}, _pair(seed, info))
    for path in paths(EPOCH):
        info = join(structures.epoch(altered(EPOCH, path)))
        given = {"seed": B.epoch_seed, "info": info}
        yield good(f"key-other-{slug(path)}", "derive-key-pair", given, _pair(B.epoch_seed, info))
    for name, seed in (("short", B.epoch_seed[:-1]), ("long", B.epoch_seed + b"\x00"), ("empty", b"")):
        yield bad(f"key-seed-{name}", "derive-key-pair", {"seed": seed, "info": EPOCH_INFO}, "BAD_LENGTH")


def _pair(seed: bytes, info: bytes) -> Value:
    secret, public_key = group.derive_key_pair(seed, info)
    return {"secret": secret, "public_key": public_key}


def _blinding() -> Iterator[Case]:
    given = {"tokens": TOKENS, "uniform": UNIFORM}
    yield good("blind", "blind", given, {"blinds": BLINDS, "blinded": BLINDED})
    one = {"tokens": TOKENS[:32], "uniform": bytes([1]) + bytes(63)}
    blinds, blinded = group.blind(**one)
    yield good("blind-of-one", "blind", one, {"blinds": blinds, "blinded": blinded})
    multiple = (L * (2**512 // L - 1)).to_bytes(64, "little")
    for name, uniform in (("zero", bytes(64)), ("order", L.to_bytes(64, "little")), ("multiple", multiple)):
        fault = {"tokens": TOKENS, "uniform": UNIFORM[:128] + uniform}
        yield bad(f"blind-uniform-{name}", "blind", fault, "BAD_SCALAR")
    for name, tokens, uniform in (
        ("token-short", TOKENS[:-1], UNIFORM),
        ("one-token-fewer", TOKENS[:-32], UNIFORM),
        ("uniform-short", TOKENS, UNIFORM[:-1]),
        ("one-uniform-fewer", TOKENS, UNIFORM[:-64]),
    ):
        yield bad(f"blind-{name}", "blind", {"tokens": tokens, "uniform": uniform}, "BAD_LENGTH")


def bad_elements() -> dict[str, bytes]:
    """Return encodings of 32 bytes that a decoder must refuse, by the fault."""
    return {
        "identity": bytes(32),
        "high-bit": flip(GENERATOR, 31, 0x80),
        "identity-high-bit": flip(bytes(32), 31, 0x80),
        "negative": (P - int.from_bytes(GENERATOR, "little")).to_bytes(32, "little"),
        "prime": P.to_bytes(32, "little"),
        "unreduced": _unreduced(),
        "all-ones": b"\xff" * 32,
        "y-zero": (P - 1).to_bytes(32, "little"),
        "not-square": _search(square=False),
        "negative-t": _search(square=True),
    }


def _unreduced() -> bytes:
    """Return s + p for the element with the smallest s, which still fits 255 bits."""
    for s in range(2, 19, 2):
        try:
            group.decode(s.to_bytes(32, "little"))
        except Refused:
            continue
        return (s + P).to_bytes(32, "little")
    raise AssertionError("no s below 19 is an element")


def _search(square: bool) -> bytes:
    """Return a canonical, even s that a decoder refuses: for no square root, or for a negative t."""
    for counter in range(100):
        s = int.from_bytes(derived(f"element {counter}", 32), "little") % P & ~1
        u2 = (1 + s * s) % P
        v = (-group.D * (1 - s * s) ** 2 - u2 * u2) % P
        was_square, _ = group.sqrt_ratio(1, v * u2 * u2 % P)
        encoded = s.to_bytes(32, "little")
        try:
            group.decode(encoded)
        except Refused:
            if was_square is square:
                return encoded
    raise AssertionError("not found")


def _elements() -> Iterator[Case]:
    for name, elements in (("blinded", BLINDED), ("generator", GENERATOR), ("none", b"")):
        yield good(f"elements-{name}", "check-elements", {"elements": elements})
    for name, element in bad_elements().items():
        yield bad(f"element-{name}", "check-elements", {"elements": element}, "BAD_ELEMENT")
        last = {"elements": BLINDED + element}
        yield bad(f"element-{name}-after-good-ones", "check-elements", last, "BAD_ELEMENT")
    for name, elements in (("short", GENERATOR[:-1]), ("long", GENERATOR + b"\x00")):
        yield bad(f"element-{name}", "check-elements", {"elements": elements}, "BAD_LENGTH")


def bad_scalars() -> dict[str, bytes]:
    """Return scalars that are not reduced, by the fault."""
    return {
        "order": L.to_bytes(32, "little"),
        "order-plus-one": (L + 1).to_bytes(32, "little"),
        "all-ones": b"\xff" * 32,
    }


def _evaluation() -> Iterator[Case]:
    own = {"secret": SECRET, "tokens": TOKENS}
    yield good("evaluate", "evaluate", own, {"outputs": group.evaluate(**own)})
    given = {"secret": SECRET, "public_key": PUBLIC_KEY, "blinded": BLINDED, "nonce": NONCE}
    operation = "evaluate-and-prove"
    yield good("evaluate-and-prove", operation, given, {"evaluated": EVALUATED, "proof": PROOF})
    one = given | {"blinded": BLINDED[:32]}
    evaluated, proof = group.evaluate_and_prove(SECRET, PUBLIC_KEY, one["blinded"], NONCE)
    yield good("evaluate-and-prove-one", operation, one, {"evaluated": evaluated, "proof": proof})
    twice = given | {"blinded": BLINDED[:32] * 2}
    evaluated, proof = group.evaluate_and_prove(SECRET, PUBLIC_KEY, twice["blinded"], NONCE)
    yield good("evaluate-and-prove-one-twice", operation, twice, {"evaluated": evaluated, "proof": proof})
    for name, element in bad_elements().items():
        yield bad(
            f"evaluate-blinded-{name}", operation, given | {"blinded": BLINDED + element}, "BAD_ELEMENT"
        )
    for name, secret in (bad_scalars() | {"zero": bytes(32)}).items():
        yield bad(f"evaluate-and-prove-secret-{name}", operation, given | {"secret": secret}, "BAD_SCALAR")
        yield bad(f"evaluate-secret-{name}", "evaluate", own | {"secret": secret}, "BAD_SCALAR")
    for name, blinded in (("empty", b""), ("short", BLINDED[:-1])):
        yield bad(f"evaluate-blinded-{name}", operation, given | {"blinded": blinded}, "BAD_LENGTH")
    yield bad("evaluate-nonce-zero", operation, given | {"nonce": bytes(64)}, "BAD_SCALAR")
    yield bad("evaluate-nonce-short", operation, given | {"nonce": NONCE[:-1]}, "BAD_LENGTH")

    yield bad("evaluate-token-short", "evaluate", own | {"tokens": TOKENS[:-1]}, "BAD_LENGTH")


def _finalization() -> Iterator[Case]:
    operation = "verify-and-finalize"
    given = {
        "public_key": PUBLIC_KEY,
        "tokens": TOKENS,
        "blinds": BLINDS,
        "blinded": BLINDED,
        "evaluated": EVALUATED,
        "proof": PROOF,
    }
    yield good("finalize", operation, given, {"outputs": group.evaluate(SECRET, TOKENS)})
    # The blind is the querier's own: a wrong one that is well formed is not noticed, and gives other outputs.
    other = given | {"blinds": BLINDS[32:64] + BLINDS[:32] + BLINDS[64:]}
    yield good("finalize-other-blinds", operation, other, {"outputs": group.verify_and_finalize(**other)})
    for name, scalar in (bad_scalars() | {"zero": bytes(32)}).items():
        fault = given | {"blinds": BLINDS[:64] + scalar}
        yield bad(f"finalize-blind-{name}", operation, fault, "BAD_SCALAR")
    for name, element in bad_elements().items():
        fault = given | {"evaluated": EVALUATED[:64] + element}
        yield bad(f"finalize-evaluated-{name}", operation, fault, "BAD_ELEMENT")
        yield bad(f"finalize-key-{name}", operation, given | {"public_key": element}, "BAD_ELEMENT")
    swapped = given | {"evaluated": EVALUATED[32:64] + EVALUATED[:32] + EVALUATED[64:]}
    yield bad("finalize-evaluated-swapped", operation, swapped, "BAD_PROOF")
    yield bad("finalize-proof-altered", operation, given | {"proof": flip(PROOF, 0)}, "BAD_PROOF")
    for field in ("tokens", "blinds", "blinded", "evaluated"):
        fault = given | {field: given[field][:-32]}
        yield bad(f"finalize-one-fewer-{field}", operation, fault, "BAD_LENGTH")
        fault = given | {field: given[field][:-1]}
        yield bad(f"finalize-short-{field}", operation, fault, "BAD_LENGTH")


def _nonces() -> Iterator[Case]:
    given: Value = {"seed": B.epoch_seed, "epoch": EPOCH, "request": REQUEST_DIGEST}
    for name, value in [("proof-nonce", given)] + [
        (f"proof-nonce-other-{slug(path)}", altered(given, path)) for path in paths(given)
    ]:
        message = join(structures.proof_nonce(value))
        yield good(name, "proof-nonce", value, {"nonce": hmac.digest(value["seed"], message, hashlib.sha512)})
