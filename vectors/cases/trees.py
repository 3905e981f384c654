"""Vectors of consistency and inclusion in a log (SPEC 18.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from .inputs import Case, Value, bad, derived, flip, good
from .notes import consistency, inclusion
from .tables import root_of

LEAVES: Final = [derived(f"leaf {number}", 32) for number in range(13)]
CODE: Final = "BAD_CHECKPOINT"


def cases() -> Iterator[Case]:
    """Yield the vectors."""
    yield from _consistency()
    yield from _inclusion()


def _parts(proof: Sequence[bytes]) -> dict[str, list[bytes]]:
    """Return faulty versions of a proof of several hashes, by the fault."""
    first, *rest = proof
    return {
        "empty": [],
        "too-short-at-the-end": list(proof[:-1]),
        "too-short-at-the-start": rest,
        "too-long-at-the-end": [*proof, LEAVES[0]],
        "too-long-at-the-start": [LEAVES[0], *proof],
        "first-hash-altered": [flip(first), *rest],
        "last-hash-altered": [*proof[:-1], flip(proof[-1])],
        "reversed": list(reversed(proof)),
        "hash-of-31-bytes": [first[:-1], *rest],
        "hash-of-33-bytes": [first + b"\x00", *rest],
    }


def _consistency() -> Iterator[Case]:
    def given(old: int, size: int) -> Value:
        return {
            "old_size": old,
            "old_root": root_of(LEAVES[:old]),
            "size": size,
            "root": root_of(LEAVES[:size]),
            "proof": consistency(old, LEAVES[:size]),
        }

    pairs = (
        (6, 13),
        (0, 0),
        (0, 13),
        (1, 1),
        (1, 2),
        (1, 13),
        (2, 3),
        (3, 4),
        (3, 7),
        (4, 7),
        (4, 8),
        (5, 6),
    )
    for old, size in (*pairs, (7, 8), (8, 13), (12, 13), (13, 13)):
        yield good(f"consistency-from-{old}-to-{size}", "verify-consistency", given(old, size))
        output = {"proof": consistency(old, LEAVES[:size])}
        made = {"leaf_hashes": LEAVES[:size], "old_size": old}
        yield good(f"consistency-proved-from-{old}-to-{size}", "prove-consistency", made, output)
    shrunk = {"leaf_hashes": LEAVES, "old_size": 14}
    yield bad("consistency-proved-from-a-larger-tree", "prove-consistency", shrunk, CODE)
    usual, complete = given(6, 13), given(8, 13)
    wrong = {fault: usual | {"proof": proof} for fault, proof in _parts(usual["proof"]).items()} | {
        "old-root-altered": usual | {"old_root": flip(usual["old_root"])},
        "root-altered": usual | {"root": flip(usual["root"])},
        "roots-exchanged": usual | {"root": usual["old_root"], "old_root": usual["root"]},
        "trees-exchanged": usual
        | {
            "old_size": usual["size"],
            "size": usual["old_size"],
            "root": usual["old_root"],
            "old_root": usual["root"],
        },
        "of-another-old-size": usual | {"old_size": 7, "old_root": root_of(LEAVES[:7])},
        "of-another-size": usual | {"size": 12, "root": root_of(LEAVES[:12])},
        "old-size-altered-alone": usual | {"old_size": 5},
        "size-altered-alone": usual | {"size": 17},
        # Of a complete tree, the proof leaves the root out.
        "with-the-old-root": complete | {"proof": [complete["old_root"], *complete["proof"]]},
        "complete-old-root-altered": complete | {"old_root": flip(complete["old_root"])},
        "from-zero-with-a-hash": given(0, 13) | {"proof": [LEAVES[0]]},
        "from-zero-with-a-root": given(0, 13) | {"old_root": LEAVES[0]},
        "from-zero-bytes": given(0, 13) | {"old_root": bytes(32)},
        "equal-sizes-with-a-hash": given(13, 13) | {"proof": [LEAVES[0]]},
        "equal-sizes-other-roots": given(13, 13) | {"old_root": flip(given(13, 13)["root"])},
    }
    for fault, one in wrong.items():
        yield bad(f"consistency-{fault}", "verify-consistency", one, CODE)


def _inclusion() -> Iterator[Case]:
    def given(index: int, size: int) -> Value:
        return {
            "leaf_hash": LEAVES[index],
            "index": index,
            "size": size,
            "root": root_of(LEAVES[:size]),
            "proof": inclusion(index, LEAVES[:size]),
        }

    pairs = ((5, 13), (0, 1), (0, 2), (1, 2), (2, 3), (0, 5), (4, 5), (6, 7), (7, 8), (0, 13), (8, 13))
    for index, size in (*pairs, (11, 13), (12, 13)):
        yield good(f"inclusion-of-{index}-in-{size}", "verify-inclusion", given(index, size))
        made = {"leaf_hashes": LEAVES[:size], "index": index}
        output = {"proof": inclusion(index, LEAVES[:size])}
        yield good(f"inclusion-proved-of-{index}-in-{size}", "prove-inclusion", made, output)
    for name, leaves, index in (("beyond-the-tree", LEAVES, 13), ("in-no-tree", [], 0)):
        made = {"leaf_hashes": leaves, "index": index}
        yield bad(f"inclusion-proved-{name}", "prove-inclusion", made, CODE)
    usual, last = given(5, 13), given(12, 13)
    above = hashlib.sha256(b"\x01" + LEAVES[4] + LEAVES[5]).digest()
    wrong = {fault: usual | {"proof": proof} for fault, proof in _parts(usual["proof"]).items()} | {
        "leaf-altered": usual | {"leaf_hash": flip(usual["leaf_hash"])},
        "leaf-of-another-place": usual | {"leaf_hash": LEAVES[6]},
        "node-for-a-leaf": usual | {"leaf_hash": above, "index": 2, "proof": usual["proof"][1:]},
        "root-altered": usual | {"root": flip(usual["root"])},
        "index-altered": usual | {"index": 4},
        "index-of-the-size": usual | {"index": 13},
        "index-beyond-the-size": usual | {"index": 5 + 16},
        "size-altered": usual | {"size": 17},
        "size-zero": usual | {"index": 0, "size": 0, "proof": []},
        "of-one-with-a-hash": given(0, 1) | {"proof": [LEAVES[1]]},
        "last-leaf-too-short": last | {"proof": last["proof"][:-1]},
        "last-leaf-too-long": last | {"proof": [*last["proof"], LEAVES[0]]},
    }
    for fault, one in wrong.items():
        yield bad(f"inclusion-{fault}", "verify-inclusion", one, CODE)
