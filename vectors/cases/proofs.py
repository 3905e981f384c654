"""Vectors of proofs of evaluation (SPEC 5.4): valid proofs, altered proofs, and proofs of faulty provers.

A faulty prover knows the key, and is honest except that one of its hashes leaves out or alters a field. The
generator checks that a verifier with the same fault accepts the proof. So the proof has no other fault, and a
verifier that refuses it hashes that field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .. import second_verifier as group
from ..second_verifier import CONTEXT, GENERATOR, IDENTITY, L, Point, add, encode, multiply, prefixed, split
from .example import BLINDED, EVALUATED, NONCE, PROOF, PUBLIC_KEY, SECRET
from .inputs import Case, bad, derived, flip, good, slug
from .oprf import bad_elements, bad_scalars
from .structures import Fields, changed, join, left_out

ABOUT: Final = "Proofs of evaluation: true, altered, and by provers whose hashes leave out or alter a field"
SPEC: Final = "5.4"


DESTINATION: Final = '"HashToScalar-" context'


@dataclass(frozen=True)
class Prover:
    """A prover that leaves out or alters one field of one hash, or none."""

    hash: str = ""
    field: str = ""
    alter: bool = False
    context: bytes = CONTEXT

    def transcript(self, hash_name: str, fields: Fields) -> bytes:
        """Return the bytes that the prover hashes."""
        if hash_name != self.hash:
            return join(fields)
        return join(changed(fields, self.field) if self.alter else left_out(fields, self.field))

    def seeded(self, public_key: bytes, blinded: bytes, evaluated: bytes) -> Fields:
        """Return the fields of the seed, which make all weights depend on each element."""
        return {
            "public key": prefixed(public_key),
            '"Batch-" context': prefixed(b"Batch-" + self.context),
            "pairs": len(split(blinded)).to_bytes(4, "big"),
            "blinded": blinded,
            "evaluated": evaluated,
        }

    def weights(self, public_key: bytes, blinded: bytes, evaluated: bytes) -> list[int]:
        """Return the weights d_i; the names of fields are those of SPEC 14.2."""
        hashed = self.seeded(public_key, blinded, evaluated)
        seed = hashlib.sha512(self.transcript("seed", hashed)).digest()
        pairs = zip(split(blinded), split(evaluated), strict=True)
        return [
            self.scalar("weight", fields(seed, index, c, d), self.context)
            for index, (c, d) in enumerate(pairs)
        ]

    def combine(self, public_key: bytes, blinded: bytes, evaluated: bytes) -> tuple[Point, Point]:
        """Return M and Z, with this prover's weights."""
        m = z = IDENTITY
        weights = self.weights(public_key, blinded, evaluated)
        for weight, c, d in zip(weights, split(blinded), split(evaluated), strict=True):
            m, z = add(m, multiply(weight, group.decode(c))), add(z, multiply(weight, group.decode(d)))
        return m, z

    def challenge(self, public_key: bytes, m: Point, z: Point, t2: Point, t3: Point) -> int:
        """Return c."""
        points = {"M": m, "Z": z, "t2": t2, "t3": t3}
        hashed: Fields = {"public key": prefixed(public_key)}
        hashed |= {name: prefixed(encode(point)) for name, point in points.items()}
        return self.scalar("challenge", hashed | {'"Challenge"': b"Challenge"}, self.context)

    def prove(self, secret: bytes, public_key: bytes, blinded: bytes, evaluated: bytes) -> bytes:
        """Prove with this prover's hashes (RFC 9497 section 2.2.1)."""
        key, r = group.scalar_from(secret), group.random_scalar(NONCE)
        m, _ = self.combine(public_key, blinded, evaluated)
        t2, t3 = multiply(r, GENERATOR), multiply(r, m)
        c = self.challenge(public_key, m, multiply(key, m), t2, t3)
        return group.scalar_bytes(c) + group.scalar_bytes(r - c * key)

    def accepts(self, public_key: bytes, blinded: bytes, evaluated: bytes, proof: bytes) -> bool:
        """Verify with this prover's hashes (RFC 9497 section 2.2.2)."""
        c, s = (group.scalar_from(half) for half in split(proof))
        m, z = self.combine(public_key, blinded, evaluated)
        t2 = add(multiply(s, GENERATOR), multiply(c, group.decode(public_key)))
        t3 = add(multiply(s, m), multiply(c, z))
        return self.challenge(public_key, m, z, t2, t3) == c

    def scalar(self, hash_name: str, hashed: Fields, context: bytes) -> int:
        """Hash fields to a scalar."""
        destination: Fields = {DESTINATION: b"HashToScalar-" + context}
        if self.field == DESTINATION:
            return group.hash_to_scalar(join(hashed), self.transcript(hash_name, destination))
        return group.hash_to_scalar(self.transcript(hash_name, hashed), join(destination))


def fields(seed: bytes, index: int, c: bytes, d: bytes) -> Fields:
    """Return the fields of a weight."""
    return {
        "seed": prefixed(seed),
        "index": index.to_bytes(2, "big"),
        "blinded": prefixed(c),
        "evaluated": prefixed(d),
        '"Composite"': b"Composite",
    }


HASHES: Final = {
    "seed": ("public key", '"Batch-" context', "pairs", "blinded", "evaluated"),
    "weight": ("seed", "index", "blinded", "evaluated", '"Composite"', DESTINATION),
    "challenge": ("public key", "M", "Z", "t2", "t3", '"Challenge"', DESTINATION),
}

STATEMENT: Final = {"public_key": PUBLIC_KEY, "blinded": BLINDED, "evaluated": EVALUATED}


def cases() -> Iterator[Case]:
    """Yield all vectors of proofs."""
    yield good("proof", "verify", STATEMENT | {"proof": PROOF})
    yield good("proof-by-another-nonce", "verify", STATEMENT | {"proof": _by_another_nonce()})
    yield from _of_faulty_provers()
    yield from _altered()
    yield from _malformed()


def _by_another_nonce() -> bytes:
    _, proof = group.evaluate_and_prove(SECRET, PUBLIC_KEY, BLINDED, derived("another nonce", 64))
    return proof


def _of_faulty_provers() -> Iterator[Case]:
    if Prover().prove(SECRET, **STATEMENT) != PROOF:
        raise AssertionError("a prover without a fault makes another proof")
    for hash_name, names in HASHES.items():
        for name in names:
            for alter, how in ((False, "without"), (True, "altered")):
                yield _by(Prover(hash_name, name, alter), f"proof-{hash_name}-{how}-{slug(name)}")
    for name, context in (
        ("mode-oprf", CONTEXT.replace(b"\x01", b"\x00")),
        ("mode-poprf", CONTEXT.replace(b"\x01", b"\x02")),
        ("other-version", CONTEXT.replace(b"OPRFV1", b"OPRFV2")),
        ("other-suite", CONTEXT.replace(b"ristretto255", b"decaf448")),
    ):
        yield _by(Prover(context=context), f"proof-context-{name}")
    yield _by(RfcProver(), "proof-seed-of-rfc-9497")
    yield _by(_UnitWeights(), "proof-weights-all-one")
    # With equal weights, adding to one element and subtracting the same from another leaves the sum Z
    # unchanged.
    first, second, *rest = split(EVALUATED)
    shift = multiply(group.hash_to_scalar(b"shift"), GENERATOR)
    more = encode(add(group.decode(first), shift))
    less = encode(add(group.decode(second), multiply(L - 1, shift)))
    shifted = b"".join((more, less, *rest))
    yield _by(_UnitWeights(), "proof-weights-all-one-of-a-false-statement", evaluated=shifted)


def _by(prover: Prover, name: str, **fault: bytes) -> Case:
    statement = STATEMENT | fault
    proof = prover.prove(SECRET, **statement)
    if not prover.accepts(**statement, proof=proof):
        raise AssertionError(f"{name}: more is wrong than the fault")
    return _refused(name, proof, **fault)


class RfcProver(Prover):
    """A prover with the seed of RFC 9497 section 2.2.1, where a weight depends on its own pair only."""

    def seeded(self, public_key: bytes, blinded: bytes, evaluated: bytes) -> Fields:
        """Return the fields of the RFC's seed."""
        return {"public key": prefixed(public_key), '"Seed-" context': prefixed(b"Seed-" + self.context)}


class _UnitWeights(Prover):
    """A prover that combines the batch without weights."""

    def weights(self, public_key: bytes, blinded: bytes, evaluated: bytes) -> list[int]:
        return [1] * (len(blinded) // 32)


def _refused(name: str, proof: bytes, **fault: bytes) -> Case:
    return bad(name, "verify", STATEMENT | fault | {"proof": proof}, "BAD_PROOF")


def _altered() -> Iterator[Case]:
    c, s = PROOF[:32], PROOF[32:]
    yield _refused("proof-swapped-scalars", s + c)
    yield _refused("proof-zero", bytes(64))
    yield _refused("proof-challenge-zero", bytes(32) + s)
    yield _refused("proof-response-zero", c + bytes(32))
    yield _refused("proof-challenge-altered", flip(PROOF, 0))
    yield _refused("proof-response-altered", flip(PROOF, 32))
    yield _refused("proof-response-negated", c + group.scalar_bytes(L - int.from_bytes(s, "little")))
    other_secret, other_key = group.derive_key_pair(derived("other key", 32), b"")
    yield _refused("proof-public-key-of-another", PROOF, public_key=other_key)
    others, proof = group.evaluate_and_prove(other_secret, other_key, BLINDED, NONCE)
    yield _refused("proof-under-another-key", proof, evaluated=others)
    yield _refused("proof-one-element-under-another-key", PROOF, evaluated=EVALUATED[:64] + others[64:])
    mixed = EVALUATED[:64] + others[64:]
    yield _refused(
        "proof-of-elements-under-two-keys",
        Prover().prove(SECRET, PUBLIC_KEY, BLINDED, mixed),
        evaluated=mixed,
    )
    for name, value in (("blinded", BLINDED), ("evaluated", EVALUATED)):
        first, second, third = split(value)
        yield _refused(f"proof-{name}-swapped", PROOF, **{name: second + first + third})
        yield _refused(f"proof-{name}-repeated", PROOF, **{name: first + first + third})
    reordered = {name: b"".join(reversed(split(STATEMENT[name]))) for name in ("blinded", "evaluated")}
    yield _refused("proof-pairs-reordered", PROOF, **reordered)
    fewer = {name: STATEMENT[name][:-32] for name in ("blinded", "evaluated")}
    yield _refused("proof-one-pair-fewer", PROOF, **fewer)
    more = {name: STATEMENT[name] + STATEMENT[name][:32] for name in ("blinded", "evaluated")}
    yield _refused("proof-one-pair-more", PROOF, **more)
    exchanged = {"blinded": EVALUATED, "evaluated": BLINDED}
    yield _refused("proof-blinded-and-evaluated-exchanged", PROOF, **exchanged)


def _malformed() -> Iterator[Case]:
    c, s = PROOF[:32], PROOF[32:]
    for name, scalar in bad_scalars().items():
        yield bad(f"proof-challenge-{name}", "verify", STATEMENT | {"proof": scalar + s}, "BAD_SCALAR")
        yield bad(f"proof-response-{name}", "verify", STATEMENT | {"proof": c + scalar}, "BAD_SCALAR")
    for name, scalar, place in (("challenge", c, 0), ("response", s, 1)):
        plus = (int.from_bytes(scalar, "little") + L).to_bytes(32, "little")
        proof = (plus + s, c + plus)[place]
        yield bad(f"proof-{name}-unreduced", "verify", STATEMENT | {"proof": proof}, "BAD_SCALAR")
    for name, proof in (("empty", b""), ("short", PROOF[:-1]), ("long", PROOF + b"\x00")):
        yield bad(f"proof-{name}", "verify", STATEMENT | {"proof": proof}, "BAD_LENGTH")
    given = STATEMENT | {"proof": PROOF}
    for field in ("blinded", "evaluated"):
        for name, value in (
            ("empty", b""),
            ("short", given[field][:-1]),
            ("one-fewer", given[field][:-32]),
            ("one-more", given[field] + given[field][:32]),
        ):
            yield bad(f"proof-{field}-{name}", "verify", given | {field: value}, "BAD_LENGTH")
    empty = given | {"blinded": b"", "evaluated": b""}
    yield bad("proof-of-nothing", "verify", empty, "BAD_LENGTH")
    for name, element in bad_elements().items():
        fault = given | {"evaluated": EVALUATED[:64] + element}
        yield bad(f"proof-evaluated-{name}", "verify", fault, "BAD_ELEMENT")
        fault = given | {"blinded": BLINDED[:64] + element}
        yield bad(f"proof-blinded-{name}", "verify", fault, "BAD_ELEMENT")
        yield bad(f"proof-public-key-{name}", "verify", given | {"public_key": element}, "BAD_ELEMENT")
