"""The arithmetic of the protocol: split points, frontiers, budgets, size classes and the canonical encoding.

z3 proves laws for all values of 64 bits. Where possible, the checks also run the code on small values, so
that a change of the code breaks the proof, and not only a change of the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import isqrt

import z3

from exhaustive.groups import Refuted
from mandorla_protocol.encoding import Writer
from mandorla_protocol.log import proofs
from mandorla_protocol.merkle import Frontier, hash_children, hash_leaf
from mandorla_protocol.sizes import CHUNK_SIZE, chunk_counts, size_class

_SMALL = 3_000
_MAX_CAP = 2**32
_MAX_BUDGET = 2**63 - 1


def _require_valid(law: z3.BoolRef, what: str) -> None:
    """Raise Refuted with a counterexample unless a law holds for all values."""
    solver = z3.Solver()
    solver.set("timeout", 60_000)
    solver.add(z3.Not(law))
    outcome = solver.check()
    if outcome != z3.unsat:
        raise Refuted(f"{what}: {solver.model() if outcome == z3.sat else 'z3 does not know'}")


def check_split_points(split: Callable[[int], int] = proofs._split) -> int:
    """Check that n > 1 leaves split at the one power of two k with k < n <= 2k (RFC 9162 section 2.1.1)."""
    n, one, other = z3.BitVecs("n one other", 64)

    def splits(k: z3.BitVecRef) -> z3.BoolRef:
        power = z3.And(k != 0, k & (k - 1) == 0, z3.ULT(k, 1 << 62))
        return z3.And(power, z3.ULT(k, n), z3.ULE(n, 2 * k))

    unique = z3.Implies(z3.And(splits(one), splits(other)), one == other)
    _require_valid(unique, "a size has two split points")
    for size in range(2, _SMALL):
        k = split(size)
        if k & (k - 1) or not k < size <= 2 * k:
            raise Refuted(f"{size} leaves are split at {k}")
    return _SMALL - 2


def check_frontiers(merges: Callable[[int], int] = lambda size: (size ^ (size + 1)).bit_length() - 1) -> int:
    """Check that a new leaf merges with one subtree for each 1 at the low end of the size."""
    size, level = z3.BitVecs("size level", 64)
    ones = z3.LShR(size, level) & 1
    below = (z3.BitVecVal(1, 64) << level) - 1
    carries = z3.And(size & below == below, ones == 0)
    # Adding one sets the first bit that is not set, and clears those below it.
    law = z3.Implies(
        z3.And(z3.ULT(level, 63), z3.ULT(size, 1 << 62), carries),
        size + 1 == (size & ~below) + below + 1,
    )
    _require_valid(law, "a carry goes beyond the ones at the low end")
    frontier, leaves = Frontier(), []
    for count in range(300):
        before = len(frontier.subtrees)
        leaves.append(hash_leaf(bytes([count & 255])))
        frontier = frontier.extend([leaves[-1]])
        if len(frontier.subtrees) != before + 1 - merges(count) or frontier.root != _root(leaves):
            raise Refuted(f"a leaf after {count} others merges with another number of subtrees")
    return 300


def _root(leaves: list[bytes]) -> bytes:
    """Return the root by the recursive definition of RFC 9162 section 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hash_children(_root(leaves[:k]), _root(leaves[k:]))


def check_budgets(
    accepts: Callable[[z3.BitVecRef, z3.BitVecRef, z3.BitVecRef], z3.BoolRef] = lambda spent, count, budget: (
        spent + count <= budget
    ),
) -> int:
    """Check that accepted charges never exceed the budget, and sums fit 63 bits (SPEC 9.3, 9.5)."""
    spent, count, budget = z3.BitVecs("spent count budget", 64)
    bounds = z3.And(
        spent >= 0, spent <= budget, budget <= _MAX_BUDGET - _MAX_CAP, count > 0, count <= CHUNK_SIZE
    )
    after = z3.And(spent <= spent + count, spent + count >= 0, spent + count <= budget)
    _require_valid(
        z3.Implies(z3.And(bounds, accepts(spent, count, budget)), after), "accepted charges exceed the budget"
    )
    return 1


def check_size_classes(classes: Callable[[int], int] = size_class) -> int:
    """Check that a size class is ceil(sqrt(2**k)) for some k, and the smallest that fits (SPEC 8)."""
    wanted = [isqrt(2 ** (16 + k) - 1) + 1 for k in range(50)]
    cases = 0
    for below, above in itertools.pairwise(wanted):
        # The class is constant between two neighbours, so checking both ends is enough.
        for count in (below, below + 1, above - 1, above):
            if classes(count) != (below if count <= below else above):
                raise Refuted(f"{count} is padded to {classes(count)}")
            if 100 * classes(count) >= 142 * count + 25_600:
                raise Refuted(f"{count} is padded to more than SPEC 8 says")
            cases += 1
    for count in range(_SMALL):
        parts = chunk_counts(size_class(count))
        if sum(parts) != size_class(count) or max(parts) > CHUNK_SIZE or min(parts) < 1:
            raise Refuted(f"{count} is cut into other chunks")
    return cases + _SMALL


def check_encoding(encode: Callable[[tuple[bytes, ...]], bytes] | None = None) -> int:
    """Check that no two lists of fields share an encoding:

    for all lengths by z3, for short fields by the code.
    """
    length = z3.Function("length", z3.IntSort(), z3.StringSort())
    one, rest, other, tail = (z3.String(name) for name in ("one", "rest", "other", "tail"))
    number, second = z3.Ints("number second")
    fixed = z3.ForAll([number], z3.Length(length(number)) == 4)
    injective = z3.ForAll([number, second], z3.Implies(length(number) == length(second), number == second))
    left = z3.Concat(length(z3.Length(one)), one, rest)
    right = z3.Concat(length(z3.Length(other)), other, tail)
    # An encoding determines the first field and the rest. By induction, it determines all fields.
    same = z3.Implies(
        z3.And(fixed, injective, left == right, z3.Length(one) == z3.Length(other)),
        z3.And(one == other, rest == tail),
    )
    _require_valid(same, "two lists of fields share an encoding")
    write = encode or (lambda fields: Writer("d").sequence(fields, lambda w, one: w.data(one)).finish())
    short = [bytes(bits) for size in range(4) for bits in itertools.product((0, 4), repeat=size)]
    seen: dict[bytes, tuple[bytes, ...]] = {}
    for size in range(4):
        for fields in itertools.product(short, repeat=size):
            if seen.setdefault(write(fields), fields) != fields:
                raise Refuted(f"{fields} and {seen[write(fields)]} share an encoding")
    return len(seen)


def control_split_points() -> int:
    """Split at the largest power of two that is at most the size: a mutant."""
    return check_split_points(lambda size: 1 << (size.bit_length() - 1))


def control_frontiers() -> int:
    """Merge with one subtree too few: a mutant."""
    return check_frontiers(lambda size: max(0, (size ^ (size + 1)).bit_length() - 2))


def control_budgets() -> int:
    """Accept a charge while the budget is not spent: a mutant."""
    return check_budgets(lambda spent, _count, budget: spent < budget)


def control_size_classes() -> int:
    """Round the square root down: a mutant."""
    return check_size_classes(lambda count: max(256, isqrt(2 ** (2 * count.bit_length()))))


def control_encoding() -> int:
    """Write fields without their lengths: a mutant."""
    return check_encoding(b"".join)
