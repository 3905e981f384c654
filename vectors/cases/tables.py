"""Vectors of size classes and of the tag table (SPEC 7 and 8)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Final

from . import structures
from .inputs import Case, Value, altered, bad, derived, flip, good, paths, slug
from .structures import join

ABOUT: Final = "Size classes, table leaves, Merkle roots and frontiers, commitments, and reading a table"
SPEC: Final = "7, 8"

EMPTY: Final[Value] = {"version": 0, "size": 0, "root": hashlib.sha256(b"").digest()}


def cases() -> Iterator[Case]:
    """Yield all vectors of tables."""
    yield from _sizes()
    yield from _leaves()
    yield from _trees()
    yield from _commitments()
    yield from _readings()


def _sizes() -> Iterator[Case]:
    counts = (0, 1, 255, 256, 257, 363, 364, 512, 513, 725, 726, 1024, 1025, 11_585, 11_586, 16_384, 16_385)
    for count in (*counts, 23_171, 1_000_000, 2**26, 2**26 + 1, 2**32, 2**40):
        k = 0
        while (size := math.isqrt(2 ** (16 + k) - 1) + 1) < count:
            k += 1
        # The list of chunks of a large class is long. Its length and the last chunk determine it.
        full, rest = divmod(size, 16_384)
        output = {"size_class": size, "full_chunks": full, "rest": rest}
        yield good(f"size-class-of-{count}", "size-class", {"count": count}, output)


def entry(number: int, version: int = 1, operation: int = 1) -> Value:
    """Return an example entry. Its tag starts with its number, so that entries are in order."""
    return {
        "version": version,
        "operation": operation,
        "tag": bytes([number]) + derived(f"tag {number}", 15),
        "sealed": derived(f"sealed {number}", 272) if operation == 1 else b"",
    }


def leaf_hash(value: Value) -> bytes:
    """Hash an entry as a leaf (SPEC 7.2)."""
    return hashlib.sha256(b"\x00" + join(structures.table_leaf(value))).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash, by the recursion of RFC 9162 section 2.1.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(leaves[:left]) + root_of(leaves[left:])).digest()


def frontier_of(leaves: Sequence[bytes]) -> Value:
    """Return the roots of the complete subtrees, largest first (SPEC 7.2)."""
    subtrees, start = [], 0
    for height in reversed(range(len(leaves).bit_length())):
        if len(leaves) >> height & 1:
            subtrees.append(root_of(leaves[start : start + (1 << height)]))
            start += 1 << height
    return {"size": len(leaves), "subtrees": subtrees}


def _leaves() -> Iterator[Case]:
    revocation = entry(2, operation=2)
    yield good("leaf-revocation", "leaf-hash", revocation, {"leaf_hash": leaf_hash(revocation)})
    addition = entry(1)
    yield good("leaf", "leaf-hash", addition, {"leaf_hash": leaf_hash(addition)})
    for path in paths(addition):
        other = altered(addition, path)
        yield good(f"leaf-altered-{slug(path)}", "leaf-hash", other, {"leaf_hash": leaf_hash(other)})


def _trees() -> Iterator[Case]:
    leaves = [leaf_hash(entry(number)) for number in range(17)]
    for size in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17):
        frontier = frontier_of(leaves[:size])
        output = {"root": root_of(leaves[:size]), "frontier": join(structures.frontier(frontier))}
        yield good(f"tree-of-{size}", "merkle-root", {"leaf_hashes": leaves[:size]}, output)
    frontier = frontier_of(leaves[:7])
    for name, value in (
        ("subtree-missing", frontier | {"subtrees": frontier["subtrees"][:-1]}),
        ("subtree-too-many", frontier | {"subtrees": [*frontier["subtrees"], leaves[0]]}),
        ("size-altered", frontier | {"size": 9}),
        ("subtrees-over-64", {"size": 2**64 - 1, "subtrees": leaves[:1] * 65}),
    ):
        encoding = join(structures.frontier(value))
        fault = {"structure": "merkle frontier", "encoding": encoding}
        yield bad(f"frontier-{name}", "decode", fault, "BAD_ENCODING")


def _commitments() -> Iterator[Case]:
    earlier: Value = {"version": 3, "size": 768, "root": derived("earlier root", 32)}
    later: Value = {"version": 4, "size": 1024, "root": derived("later root", 32)}
    operation = "extend-commitment"
    for name, one, other in (
        ("grows", earlier, later),
        ("stays", earlier, earlier),
        ("begins", EMPTY, earlier),
        ("skips-versions", earlier, later | {"version": 9}),
    ):
        yield good(f"commitment-{name}", operation, {"earlier": one, "later": other})
    for name, other in (
        ("version-back", later | {"version": 2}),
        ("size-back", later | {"size": 767}),
        ("version-without-entries", later | {"size": 768}),
        ("version-without-entries-same-root", earlier | {"version": 4}),
        ("entries-without-version", later | {"version": 3}),
        ("root-rewritten", earlier | {"root": flip(earlier["root"])}),
        ("empty-again", EMPTY),
    ):
        yield bad(f"commitment-{name}", operation, {"earlier": earlier, "later": other}, "TABLE_MISMATCH")


FIRST: Final = [entry(1), entry(2, operation=2), entry(3, operation=2)]
SECOND: Final = [entry(1, 2, operation=2), entry(2, 2, operation=2), entry(9, 2)]


def commitment(entries: Sequence[Value]) -> Value:
    """Return the commitment to entries."""
    root = root_of([leaf_hash(one) for one in entries])
    return {"version": entries[-1]["version"], "size": len(entries), "root": root}


def reading(pages: Sequence[Sequence[Value]], committed: Value, verified: Sequence[Value] = ()) -> Value:
    """Return the input of a querier that reads pages, after entries that an earlier round verified."""
    leaves = [leaf_hash(one) for one in verified]
    return {
        "verified": commitment(verified) if verified else EMPTY,
        "frontier": join(structures.frontier(frontier_of(leaves))),
        "committed": committed,
        "pages": pages,
    }


def _readings() -> Iterator[Case]:
    operation = "read-table"
    whole = commitment(FIRST + SECOND)
    for name, given in (
        ("table", reading([FIRST + SECOND], whole)),
        ("table-in-pages", reading([FIRST[:1], FIRST[1:] + SECOND[:1], SECOND[1:]], whole)),
        ("table-continued", reading([SECOND], whole, FIRST)),
        ("table-nothing-new", reading([], commitment(FIRST), FIRST)),
        ("table-version-left-out", reading([[*FIRST, entry(1, 3, 2)]], commitment([*FIRST, entry(1, 3, 2)]))),
    ):
        yield good(name, operation, given)

    first, second, third = FIRST
    for name, entries in (
        ("tags-out-of-order", [second, first, third]),
        ("tag-twice", [first, first, second]),
        ("version-back", [entry(1, 2, 2), entry(2, 1, 2), entry(3, 2, 2)]),
        ("version-zero", [entry(1, 0, 2), second, third]),
        ("tag-short", [first | {"tag": first["tag"][:-1]}, second, third]),
        ("tag-long", [first | {"tag": first["tag"] + b"\x00"}, second, third]),
        ("label-short", [first | {"sealed": first["sealed"][:-1]}, second, third]),
        ("label-long", [first | {"sealed": first["sealed"] + b"\x00"}, second, third]),
        ("addition-without-label", [first | {"sealed": b""}, second, third]),
        ("revocation-with-label", [first | {"operation": 2}, second, third]),
    ):
        # The commitment does not matter: entries that do not hold are refused as they are read.
        committed = commitment(FIRST) | {"version": 2 if name == "version-back" else 1}
        yield bad(f"table-{name}", operation, reading([entries], committed), "BAD_TABLE")
    for name, given in (
        ("page-empty", reading([[], FIRST], commitment(FIRST))),
        ("one-entry-more", reading([[*FIRST, entry(4, 1, 2)]], commitment(FIRST))),
        ("one-entry-more-on-a-second-page", reading([FIRST, [entry(4, 1, 2)]], commitment(FIRST))),
        ("version-over-committed", reading([FIRST[:2], [entry(3, 2, 2)]], commitment(FIRST))),
        ("finished-version-added-to", reading([[entry(4, 1, 2), entry(5, 2, 2)]], _later(2), FIRST)),
        ("pages-out-of-order", reading([FIRST[2:], FIRST[:2]], commitment(FIRST))),
    ):
        yield bad(f"table-{name}", operation, given, "BAD_TABLE")
    for name, given in (
        ("one-entry-fewer", reading([FIRST[:2]], commitment(FIRST))),
        ("root-altered", reading([FIRST], altered(commitment(FIRST), "root"))),
        ("version-short-of-committed", reading([FIRST], commitment(FIRST) | {"version": 2})),
        ("rewritten", reading([SECOND], commitment([entry(1, 1, 2), *FIRST[1:], *SECOND]), FIRST)),
        ("entry-altered", reading([[altered(first, "tag"), second, third]], commitment(FIRST))),
        ("label-altered", reading([[altered(first, "sealed"), second, third]], commitment(FIRST))),
        ("verified-not-extended", reading([], commitment(FIRST[:2]), FIRST)),
        ("frontier-of-another", reading([SECOND], whole, FIRST) | {"frontier": _other_frontier()}),
    ):
        yield bad(f"table-{name}", operation, given, "TABLE_MISMATCH")


def _later(more: int) -> Value:
    return {"version": 2, "size": len(FIRST) + more, "root": derived("later root", 32)}


def _other_frontier() -> bytes:
    leaves = [leaf_hash(entry(number)) for number in (1, 2, 4)]
    return join(structures.frontier(frontier_of(leaves)))
