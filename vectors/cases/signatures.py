"""Vectors of Ed25519 (SPEC 3.3), with one for each choice that RFC 8032 leaves to verifiers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from ..second_verifier import IDENTITY, SQRT_M1, D, L, P, Point, add, multiply
from .example import A, B
from .inputs import Case, bad, derived, flip, good

ABOUT: Final = "Ed25519: small and mixed orders, encodings that are not canonical, S that is not reduced"
SPEC: Final = "3.3"

MESSAGE: Final = b"\x00\x00\x00\x10mandorla/v1 test"


def encode_point(point: Point) -> bytes:
    """Encode a point (RFC 8032 section 5.1.2)."""
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return ((y * inverse % P) | (x * inverse % P & 1) << 255).to_bytes(32, "little")


def point_from(y: int, sign: int) -> Point | None:
    """Return the point with y and the sign of x, if there is one (RFC 8032 section 5.1.3)."""
    ratio = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(ratio, (P + 3) // 8, P)
    if x * x % P != ratio:
        x = x * SQRT_M1 % P
    if x * x % P != ratio:
        return None
    x = (P - x if x & 1 != sign else x) % P
    return x, y, 1, x * y % P


def affine(point: Point) -> tuple[int, int]:
    """Return x and y."""
    inverse = pow(point[2], -1, P)
    return point[0] * inverse % P, point[1] * inverse % P


def _base() -> Point:
    base = point_from(4 * pow(5, -1, P) % P, 0)
    if base is None:
        raise AssertionError("the base point is on the curve")
    return base


BASE: Final = _base()


def _order_eight() -> Point:
    """Return a point of order 8: a point times the prime order, which removes its part of prime order."""
    for y in range(2, 100):
        point = point_from(y, 0)
        if point and affine(multiply(4, torsion := multiply(L, point))) != affine(IDENTITY):
            return torsion
    raise AssertionError("no point of order 8")


TORSION: Final = _order_eight()


def hashed(r: bytes, identity: bytes, message: bytes) -> int:
    """Return RFC 8032's k."""
    return int.from_bytes(hashlib.sha512(r + identity + message).digest(), "little") % L


def expanded(seed: bytes) -> tuple[int, bytes]:
    """Return a private key's scalar, and the prefix that derives its nonces (RFC 8032 section 5.1.5)."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:]


def signed(identity: bytes, scalar: int, divisor: int, torsion: Point = IDENTITY) -> bytes:
    """Sign with `scalar`, so that `divisor` divides k, and with `torsion` added to R.

    So k times a point whose order divides `divisor` is the identity.
    """
    for counter in range(1_000):
        r = int.from_bytes(derived(f"nonce {counter}", 64), "little") % L
        encoded = encode_point(add(multiply(r, BASE), torsion))
        k = hashed(encoded, identity, MESSAGE)
        if k % divisor == 0:
            return encoded + ((r + k * scalar) % L).to_bytes(32, "little")
    raise AssertionError("no nonce found")


def small_orders() -> dict[str, tuple[bytes, int]]:
    """Return identities that do not have prime order, with their order, by the fault."""
    found = {}
    for order in (1, 2, 4, 8):
        for sign in (0, 1) if order in (4, 8) else (0,):
            point = multiply((8 // order) * (7 if sign else 1), TORSION)
            found[f"order-{order}{'-negative' if sign else ''}"] = (encode_point(point), order)
    three = encode_point(multiply(3, TORSION))
    return found | {
        "order-8-another": (three, 8),
        "not-canonical-order-1": ((P + 1).to_bytes(32, "little"), 1),
        "not-canonical-order-4": (P.to_bytes(32, "little"), 4),
        "negative-zero-order-1": (flip((1).to_bytes(32, "little"), 31, 0x80), 1),
        "negative-zero-order-2": (flip((P - 1).to_bytes(32, "little"), 31, 0x80), 2),
    }


def cases() -> Iterator[Case]:
    """Yield all vectors of signatures."""
    for lab in (A, B):
        for name, message in (("message", MESSAGE), ("empty", b"")):
            given = {"private_key": lab.seed, "message": message}
            signature = lab.sign(message)
            yield good(
                f"sign-{lab.name}-{name}", "sign", given, {"identity": lab.identity, "signature": signature}
            )
            fits = {"identity": lab.identity, "message": message, "signature": signature}
            yield good(f"signature-{lab.name}-{name}", "verify-signature", fits)
    # Any nonce is good for a verifier, RFC 8032's or not.
    scalar, _ = expanded(A.seed)
    yield good(
        "signature-by-another-nonce", "verify-signature", _given(A.identity, signed(A.identity, scalar, 1))
    )
    yield from _altered()
    yield from _of_bad_identities()


def _given(identity: bytes, signature: bytes, message: bytes = MESSAGE) -> dict[str, bytes]:
    return {"identity": identity, "message": message, "signature": signature}


def _bad(name: str, identity: bytes, signature: bytes, message: bytes = MESSAGE) -> Case:
    return bad(f"signature-{name}", "verify-signature", _given(identity, signature, message), "BAD_SIGNATURE")


def _altered() -> Iterator[Case]:
    signature = A.sign(MESSAGE)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    yield _bad("other-message", A.identity, signature, flip(MESSAGE))
    yield _bad("other-identity", B.identity, signature)
    yield _bad("r-altered", A.identity, flip(signature, 0))
    yield _bad("s-altered", A.identity, flip(signature, 32))
    yield _bad("r-negated", A.identity, flip(signature, 31, 0x80))
    yield _bad("zero", A.identity, bytes(64))
    for times in (1, 8):
        yield _bad(f"s-unreduced-by-{times}", A.identity, r + (s + times * L).to_bytes(32, "little"))
    yield _bad("s-order", A.identity, r + L.to_bytes(32, "little"))
    for name, value in (("empty", b""), ("short", signature[:-1]), ("long", signature + b"\x00")):
        yield _bad(name, A.identity, value)
    scalar, _ = expanded(A.seed)
    # The equation holds only if both sides are multiplied by the cofactor.
    yield _bad("r-with-torsion", A.identity, signed(A.identity, scalar, 1, TORSION))


def _of_bad_identities() -> Iterator[Case]:
    for name, (identity, order) in small_orders().items():
        # With k a multiple of the order, R = S * B: the equation holds, and no private key was needed.
        yield _bad(f"identity-{name}", identity, signed(identity, 0, order))
    scalar, _ = expanded(A.seed)
    mixed = encode_point(add(multiply(scalar, BASE), TORSION))
    yield _bad("identity-mixed-order", mixed, signed(mixed, scalar, 8))
    signature = A.sign(MESSAGE)
    off_curve = next(y for y in range(2, 100) if point_from(y, 0) is None)
    for name, identity in (
        ("off-curve", off_curve.to_bytes(32, "little")),
        ("all-ones", b"\xff" * 32),
        ("empty", b""),
        ("short", A.identity[:-1]),
        ("long", A.identity + b"\x00"),
    ):
        yield _bad(f"identity-{name}", identity, signature)
