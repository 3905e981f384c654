"""The decision of a witness about a checkpoint (C2SP tlog-witness, SPEC 18.4).

A witness keeps all checkpoints that it cosigned. It cosigns a checkpoint that extends the latest of them. Two
checkpoints of one size with two roots are a proof of fraud. The decision is a pure function, so that
`proofs/states/witness_claims.py` can explore it.
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
    """The checkpoint extends the latest: store it durably, and only then answer with a cosignature."""


@dataclass(frozen=True, slots=True)
class Known:
    """The witness cosigned this checkpoint before: answer with the same cosignature."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The proof does not start at the latest cosigned size.

    Answer with that size, so that the lab can send another proof.
    """

    size: int


@dataclass(frozen=True, slots=True)
class Fraud:
    """The lab signed another root for a size that the witness cosigned."""


Judgement: TypeAlias = Cosign | Known | Conflict | Fraud


def judge(
    checkpoint: Checkpoint,
    old: int,
    proof: Sequence[bytes],
    latest: Checkpoint | None,
    root_at: Callable[[int], bytes | None],
) -> Judgement:
    """Return the decision about a checkpoint whose signature the caller verified.

    `proof` is a consistency proof from size `old`. `latest` is the checkpoint that the witness cosigned last.
    `root_at` returns the root that the witness cosigned for a size, or None.

    Raises CryptoError: BAD_CHECKPOINT if the sizes are impossible, or the proof does not hold.
    """
    size, root = (0, EMPTY_ROOT) if latest is None else (latest.size, latest.root)
    # Fraud comes first: two signed roots of one size need no proof.
    cosigned_root = root_at(checkpoint.size)
    if cosigned_root is not None and cosigned_root != checkpoint.root:
        return Fraud()
    if old > checkpoint.size or len(proof) > MAX_PROOF:
        raise CryptoError(Code.BAD_CHECKPOINT, "the consistency proof has impossible sizes")
    if old != size:
        return Conflict(size)
    verify_consistency(old, root, checkpoint.size, checkpoint.root, proof)
    return Cosign() if cosigned_root is None else Known()
