"""Witnesses of a hostile lab's log: the real decision function, under all orders of checkpoints.

The lab has three histories of its log, which differ after one and after two entries. It shows any size of any
history, with an honest proof from any size of any history, to either of two witnesses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeAlias

from mandorla_protocol.errors import CryptoError
from mandorla_protocol.log.checkpoint import Checkpoint
from mandorla_protocol.log.proofs import prove_consistency
from mandorla_protocol.log.witness import Cosign, Fraud, Judgement, judge
from mandorla_protocol.merkle import Frontier, hash_children, hash_leaf

from .explorer import explore

Judge: TypeAlias = Callable[
    [Checkpoint, int, Sequence[bytes], Checkpoint | None, Callable[[int], bytes | None]], Judgement
]

_SIZES: Final = range(4)
_LEAVES: Final = tuple(
    tuple(hash_leaf(bytes([place, history if place >= parting else 0])) for place in _SIZES)
    for history, parting in ((0, 0), (1, 1), (2, 2))
)
_HISTORIES: Final = range(len(_LEAVES))


@dataclass(frozen=True)
class World:
    """The roots that each witness cosigned, by size, and whether the witness has a proof of fraud."""

    cosigned: tuple[tuple[tuple[int, bytes], ...], ...] = ((), ())
    caught: tuple[bool, bool] = (False, False)


@lru_cache
def _root(history: int, size: int) -> bytes:
    return Frontier().extend(_LEAVES[history][:size]).root


@lru_cache
def _proof(history: int, old: int, size: int) -> tuple[bytes, ...]:
    def node(level: int, position: int) -> bytes:
        if level == 0:
            return _LEAVES[history][position]
        return hash_children(node(level - 1, 2 * position), node(level - 1, 2 * position + 1))

    return tuple(prove_consistency(old, size, node)) if old <= size else ()


def _moves(decide: Judge, world: World) -> Iterator[tuple[str, World]]:
    for who, history, size, old in itertools.product((0, 1), _HISTORIES, _SIZES, _SIZES):
        if world.caught[who]:
            # The witness refuses the lab from then on.
            continue
        seen = dict(world.cosigned[who])
        latest = Checkpoint("log", max(seen), seen[max(seen)]) if seen else None
        shown = Checkpoint("log", size, _root(history, size))
        for basis in _HISTORIES:
            try:
                judgement = decide(shown, old, _proof(basis, old, size), latest, seen.get)
            except CryptoError:
                continue
            name = f"show witness {who} {size} entries of history {history}"
            if isinstance(judgement, Cosign):
                grown = tuple(sorted({**seen, size: shown.root}.items()))
                cosigned = (grown, world.cosigned[1]) if who == 0 else (world.cosigned[0], grown)
                yield name, replace(world, cosigned=cosigned)
            elif isinstance(judgement, Fraud):
                caught = (True, world.caught[1]) if who == 0 else (world.caught[0], True)
                yield name, replace(world, caught=caught)


def _wrong(world: World) -> Iterator[str]:
    fits = [
        {history for history in _HISTORIES if all(_root(history, size) == root for size, root in seen)}
        for seen in world.cosigned
    ]
    for who, histories in enumerate(fits):
        if not histories:
            yield f"witness {who} cosigned two histories"
    one, other = (dict(seen) for seen in world.cosigned)
    at_one_size = any(other.get(size, root) != root for size, root in one.items())
    if all(fits) and not fits[0] & fits[1] and set(one) & set(other) == set(_SIZES) and not at_one_size:
        yield "two witnesses who saw two histories at every size do not contradict each other"


def check_witnesses(decide: Judge = judge) -> int:
    """Check that a witness cosigns one history, and that witnesses of two histories have a contradiction."""
    return explore(World(), lambda world: _moves(decide, world), _wrong)


def control_witnesses() -> int:
    """Cosign each checkpoint that is larger than the last: a mutant."""

    def decide(
        checkpoint: Checkpoint,
        old: int,
        proof: Sequence[bytes],
        latest: Checkpoint | None,
        root_at: Callable[[int], bytes | None],
    ) -> Judgement:
        if latest is None or checkpoint.size > latest.size:
            return Cosign()
        return judge(checkpoint, old, proof, latest, root_at)

    return check_witnesses(decide)
