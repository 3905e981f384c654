"""A second implementation of the OPRF, which replays the vectors and takes ten minutes to read.

It shares no code with Mandorla. ristretto255 follows the formulas of RFC 9496 with Python's integers. The
OPRF follows RFC 9497, with the seed of SPEC 5.4 or the seed of the RFC. The code is slow, and its timing
depends on secrets: use it for vectors only.

    python vectors/second_verifier.py

replays each vector whose operation this file implements, and prints their number.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

Point: TypeAlias = tuple[int, int, int, int]
"""A point of edwards25519 in extended coordinates X : Y : Z : T, with x = X/Z, y = Y/Z, xy = T/Z."""

Seed: TypeAlias = Callable[[bytes, bytes, bytes], bytes]
"""Returns the seed of a proof's weights, given the public key, the blinded and the evaluated elements."""

# RFC 9496 section 4.1.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = 37095705934669439343138083508754565189542113879843219016388785533085940283555
SQRT_M1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578
ONE_MINUS_D_SQ = (1 - D * D) % P
D_MINUS_ONE_SQ = (D - 1) ** 2 % P

IDENTITY: Point = (0, 1, 1, 0)

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
"""RFC 9497 section 3.1, for mode VOPRF."""


class Refused(Exception):
    """The input is not valid; the argument is a code of SPEC 11."""


# ristretto255


def absolute(x: int) -> int:
    """Return x or -x, whichever is even: "non-negative" in RFC 9496 section 2."""
    x %= P
    return P - x if x & 1 else x


def sqrt_ratio(u: int, v: int) -> tuple[bool, int]:
    """Return whether u/v is a square, and the root of u/v or of SQRT_M1 * u/v (RFC 9496 section 4.2)."""
    r = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P
    check = v * r * r % P
    flipped = check == -u % P
    if flipped or check == -u * SQRT_M1 % P:
        r = r * SQRT_M1 % P
    return flipped or check == u % P, absolute(r)


def decode(encoded: bytes) -> Point:
    """Decode an element that is not the identity (RFC 9496 section 4.3.1, RFC 9497 section 2.1)."""
    s = int.from_bytes(encoded, "little")
    if len(encoded) != 32 or s >= P or s & 1 or s == 0:
        raise Refused("BAD_ELEMENT")
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    was_square, inverse_root = sqrt_ratio(1, v * u2 * u2 % P)
    den_x = inverse_root * u2 % P
    den_y = inverse_root * den_x * v % P
    x, y = absolute(2 * s * den_x), u1 * den_y % P
    t = x * y % P
    if not was_square or t & 1 or y == 0:
        raise Refused("BAD_ELEMENT")
    return x, y, 1, t


def encode(point: Point) -> bytes:
    """Encode an element (RFC 9496 section 4.3.2)."""
    x0, y0, z0, t0 = point
    u1, u2 = (z0 + y0) * (z0 - y0) % P, x0 * y0 % P
    _, inverse_root = sqrt_ratio(1, u1 * u2 * u2 % P)
    den1, den2 = inverse_root * u1 % P, inverse_root * u2 % P
    z_inverse = den1 * den2 * t0 % P
    if t0 * z_inverse % P & 1:
        x, y, den_inverse = y0 * SQRT_M1 % P, x0 * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
    else:
        x, y, den_inverse = x0, y0, den2
    if x * z_inverse % P & 1:
        y = -y
    return absolute(den_inverse * (z0 - y)).to_bytes(32, "little")


def add(p: Point, q: Point) -> Point:
    """Add two points, which may be equal (RFC 8032 section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * D * p[3] * q[3] % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """Multiply a point by a scalar that is not negative."""
    result = IDENTITY
    for bit in f"{scalar:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


GENERATOR = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))


def one_way_map(t: int) -> Point:
    """Map a field element to a group element (RFC 9496 section 4.3.4, function MAP)."""
    r = SQRT_M1 * t * t % P
    u, v = (r + 1) * ONE_MINUS_D_SQ % P, (-1 - r * D) * (r + D) % P
    was_square, s = sqrt_ratio(u, v)
    c = -1
    if not was_square:
        s, c = -absolute(s * t), r
    n = (c * (r - 1) * D_MINUS_ONE_SQ - v) % P
    w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


# RFC 9497


def expand(message: bytes, dst: bytes) -> bytes:
    """Expand a message to 64 uniform bytes (RFC 9380 section 5.3.1, expand_message_xmd with SHA-512)."""
    dst += bytes([len(dst)])
    b_0 = hashlib.sha512(bytes(128) + message + b"\x00\x40\x00" + dst).digest()
    return hashlib.sha512(b_0 + b"\x01" + dst).digest()


def hash_to_scalar(message: bytes, dst: bytes = b"HashToScalar-" + CONTEXT) -> int:
    """Map a message to a scalar (RFC 9497 section 4.1)."""
    return int.from_bytes(expand(message, dst), "little") % L


def hash_to_group(message: bytes) -> Point:
    """Map a message to an element (RFC 9497 section 4.1, RFC 9496 section 4.3.4)."""
    uniform = expand(message, b"HashToGroup-" + CONTEXT)
    halves = (int.from_bytes(half, "little") & 2**255 - 1 for half in (uniform[:32], uniform[32:]))
    return add(*(one_way_map(half) for half in halves))


def prefixed(value: bytes) -> bytes:
    """Return a value after its length in two bytes."""
    return len(value).to_bytes(2, "big") + value


def split(buffer: bytes, size: int = 32) -> list[bytes]:
    """Return a buffer's values of `size` bytes each."""
    if len(buffer) % size:
        raise Refused("BAD_LENGTH")
    return [buffer[start : start + size] for start in range(0, len(buffer), size)]


def scalar_from(encoded: bytes, zero: bool = True) -> int:
    """Decode a reduced scalar; refuse zero unless `zero` is true (SPEC 5.1)."""
    scalar = int.from_bytes(encoded, "little")
    if len(encoded) != 32 or scalar >= L or not (scalar or zero):
        raise Refused("BAD_SCALAR")
    return scalar


def scalar_bytes(scalar: int) -> bytes:
    """Reduce and encode a scalar."""
    return (scalar % L).to_bytes(32, "little")


def random_scalar(uniform: bytes) -> int:
    """Reduce 64 uniform bytes to a non-zero scalar (SPEC 5.3)."""
    if len(uniform) != 64:
        raise Refused("BAD_LENGTH")
    return scalar_from(scalar_bytes(int.from_bytes(uniform, "little")), zero=False)


def derive_key_pair(seed: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Derive a secret and a public key (RFC 9497 section 3.2.1). A zero secret has negligible probability."""
    if len(seed) != 32:
        raise Refused("BAD_LENGTH")
    secret = hash_to_scalar(seed + prefixed(info) + b"\x00", b"DeriveKeyPair" + CONTEXT)
    return scalar_bytes(secret), encode(multiply(secret, GENERATOR))


def blind(tokens: bytes, uniform: bytes) -> tuple[bytes, bytes]:
    """Blind tokens additively (SPEC 5.3); return the blinds and the blinded elements."""
    inputs, blinds = split(tokens), [random_scalar(one) for one in split(uniform, 64)]
    if len(inputs) != len(blinds):
        raise Refused("BAD_LENGTH")
    masks = [multiply(b, GENERATOR) for b in blinds]
    blinded = [encode(add(hash_to_group(i), mask)) for i, mask in zip(inputs, masks, strict=True)]
    return b"".join(map(scalar_bytes, blinds)), b"".join(blinded)


def batch_seed(public_key: bytes, blinded: bytes, evaluated: bytes) -> bytes:
    """Return the seed of the weights: a hash of the public key and the whole batch (SPEC 5.4)."""
    pairs = len(split(blinded)).to_bytes(4, "big")
    return hashlib.sha512(
        prefixed(public_key) + prefixed(b"Batch-" + CONTEXT) + pairs + blinded + evaluated
    ).digest()


def rfc_seed(public_key: bytes, _blinded: bytes, _evaluated: bytes) -> bytes:
    """Return the seed of RFC 9497 section 2.2.1, a hash of the public key alone; for the RFC's vectors."""
    return hashlib.sha512(prefixed(public_key) + prefixed(b"Seed-" + CONTEXT)).digest()


def composites(public_key: bytes, blinded: bytes, evaluated: bytes, seed: Seed) -> tuple[Point, Point]:
    """Combine a batch to M and Z (RFC 9497 section 2.2.1, ComputeComposites, except for the seed)."""
    weight_seed = prefixed(seed(public_key, blinded, evaluated))
    m = z = IDENTITY
    for index, (c, d) in enumerate(zip(split(blinded), split(evaluated), strict=True)):
        weight = hash_to_scalar(
            weight_seed + index.to_bytes(2, "big") + prefixed(c) + prefixed(d) + b"Composite"
        )
        m, z = add(m, multiply(weight, decode(c))), add(z, multiply(weight, decode(d)))
    return m, z


def challenge(public_key: bytes, *points: Point) -> int:
    """Return the challenge: a hash of the public key, M, Z, t2 and t3 (RFC 9497 section 2.2.1)."""
    fields = [public_key, *map(encode, points)]
    return hash_to_scalar(b"".join(map(prefixed, fields)) + b"Challenge")


def evaluate_and_prove(
    secret: bytes, public_key: bytes, blinded: bytes, nonce: bytes, seed: Seed = batch_seed
) -> tuple[bytes, bytes]:
    """Evaluate elements and prove the evaluation, with 64 uniform bytes as nonce (RFC 9497 section 3.3.2)."""
    key, r = scalar_from(secret, zero=False), random_scalar(nonce)
    decode(public_key)
    evaluated = b"".join(encode(multiply(key, decode(element))) for element in split(blinded))
    if not blinded:
        raise Refused("BAD_LENGTH")
    m, z = composites(public_key, blinded, evaluated, seed)
    c = challenge(public_key, m, z, multiply(r, GENERATOR), multiply(r, m))
    return evaluated, scalar_bytes(c) + scalar_bytes(r - c * key)


def verify(
    public_key: bytes, blinded: bytes, evaluated: bytes, proof: bytes, seed: Seed = batch_seed
) -> None:
    """Verify a proof (RFC 9497 section 2.2.2, except for the seed)."""
    key = decode(public_key)
    if not blinded or len(blinded) != len(evaluated) or len(proof) != 64:
        raise Refused("BAD_LENGTH")
    c, s = scalar_from(proof[:32]), scalar_from(proof[32:])
    m, z = composites(public_key, blinded, evaluated, seed)
    t2 = add(multiply(s, GENERATOR), multiply(c, key))
    t3 = add(multiply(s, m), multiply(c, z))
    if challenge(public_key, m, z, t2, t3) != c:
        raise Refused("BAD_PROOF")


def output(token: bytes, unblinded: Point) -> bytes:
    """Return the output of a token and its unblinded element (RFC 9497 section 3.3.1, Finalize)."""
    return hashlib.sha512(prefixed(token) + prefixed(encode(unblinded)) + b"Finalize").digest()


def verify_and_finalize(
    public_key: bytes, tokens: bytes, blinds: bytes, blinded: bytes, evaluated: bytes, proof: bytes
) -> bytes:
    """Verify a proof (RFC 9497 section 3.3.2), subtract the masks (SPEC 5.3), and return the outputs."""
    if not len(split(tokens)) == len(split(blinds)) == len(split(blinded)):
        raise Refused("BAD_LENGTH")
    verify(public_key, blinded, evaluated, proof)
    negated = [L - scalar_from(b, zero=False) for b in split(blinds)]
    masks = [multiply(scalar, decode(public_key)) for scalar in negated]
    points = map(add, map(decode, split(evaluated)), masks)
    return b"".join(map(output, split(tokens), points))


def evaluate(secret: bytes, tokens: bytes) -> bytes:
    """Return the outputs of the holder's own tokens (RFC 9497 section 3.3.1)."""
    key = scalar_from(secret, zero=False)
    return b"".join(output(token, multiply(key, hash_to_group(token))) for token in split(tokens))


# Vectors


def check_elements(elements: bytes) -> None:
    """Check that all elements are canonical and none is the identity."""
    for element in split(elements):
        decode(element)


OPERATIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "derive-key-pair": (derive_key_pair, ("secret", "public_key")),
    "blind": (blind, ("blinds", "blinded")),
    "check-elements": (check_elements, ()),
    "evaluate-and-prove": (evaluate_and_prove, ("evaluated", "proof")),
    "verify": (verify, ()),
    "verify-and-finalize": (verify_and_finalize, ("outputs",)),
    "evaluate": (evaluate, ("outputs",)),
}
"""The function of each operation, and the names of its results."""


def replay(case: dict[str, Any]) -> None:
    """Replay one vector; raise AssertionError if the result differs from the vector's."""
    function, names = OPERATIONS[case["operation"]]
    arguments = {name: bytes.fromhex(value) for name, value in case["input"].items()}
    seen: dict[str, Any]
    try:
        result = function(**arguments)
        results = (result,) if len(names) == 1 else result or ()
        seen = {"output": {name: value.hex() for name, value in zip(names, results, strict=True)}}
    except Refused as refused:
        seen = {"error": str(refused)}
    expected = {key: case[key] for key in ("output", "error") if key in case}
    if seen != expected:
        raise AssertionError(f"{case['name']}: {seen} and not {expected}")


def known(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a folder's vectors that this file can replay, with their whole inputs."""
    for path in sorted(folder.glob("*.json")):
        cases = json.loads(path.read_text("utf-8")).get("cases", ())
        inputs = {case["name"]: case["input"] for case in cases}
        for case in cases:
            if case["operation"] in OPERATIONS:
                yield case | {"input": inputs.get(case.get("like"), {}) | case["input"]}


def main() -> int:
    """Replay the vectors in the folder of this file."""
    count = 0
    for count, case in enumerate(known(Path(__file__).parent), 1):  # noqa: B007
        replay(case)
    sys.stdout.write(f"{count} vectors replayed\n")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
