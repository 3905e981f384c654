"""What a witness answers to a checkpoint (C2SP tlog-witness, SPEC 18.4): pure, so that it can be proved.

A witness keeps every checkpoint that it cosigned. It cosigns the next one if that extends the last. Two of
one size with two roots are a proof of fraud.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import Code, CryptoError
from ..merkle import EMPTY_ROOT
from .checkpoint import Checkpoint
from .proofs import MAX_PROOF, verify_consistency


@dataclass(frozen=True, slots=True)
class Cosign:
    """The checkpoint extends what was seen: persist it, and only then answer with a cosignature."""


@dataclass(frozen=True, slots=True)
class AlreadyCosigned:
    """The checkpoint was cosigned before: answer with the same cosignature."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The proof does not start where this witness stands: answer with the size that it would have to."""

    size: int


@dataclass(frozen=True, slots=True)
class Fraud:
    """The lab signed another root for a size that this witness cosigned."""


Judgement: TypeAlias = Cosign | AlreadyCosigned | Conflict | Fraud


def judge(
    checkpoint: Checkpoint,
    old: int,
    proof: Sequence[bytes],
    latest: Checkpoint | None,
    root_at: Callable[[int], bytes | None],
) -> Judgement:
    """Judge a checkpoint whose signature holds, against the latest that was cosigned and those before it.

    `root_at` gives the root that was cosigned for a size, if there was one.

    Raises CryptoError(BAD_CHECKPOINT) if the sizes make no sense, or the proof does not hold.
    """
    size, root = (0, EMPTY_ROOT) if latest is None else (latest.size, latest.root)
    known = root_at(checkpoint.size)
    if known is not None and known != checkpoint.root:
        return Fraud()
    if old > checkpoint.size or len(proof) > MAX_PROOF:
        raise CryptoError(Code.BAD_CHECKPOINT, "no consistency proof")
    if old != size:
        return Conflict(size)
    verify_consistency(old, root, checkpoint.size, checkpoint.root, proof)
    return Cosign() if known is None else AlreadyCosigned()
