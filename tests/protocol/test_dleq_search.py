"""Why weights are drawn from the whole batch, and not from each pair alone as in RFC 9497 (SPEC 12.3, C4).

By the RFC's weights a holder can try many false answers for each pair, know the weight of each, and search
for a choice whose weighted errors cancel: the generalised birthday problem (Wagner 2002). In ristretto255
that takes about 2**31 hashes for a chunk of 16,384 and 2**36 for one of 256. Here the group has 60 bits.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TypeAlias

import pytest

from mandorla_protocol import dleq, oprf
from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.group import Element, Scalar
from mandorla_protocol.oprf import Mode
from tests.protocol.toy_group import ORDER, ToyGroup

GROUP = ToyGroup()
CONTEXT = oprf.context_string(Mode.VOPRF, GROUP)
KEYS = oprf.derive_key_pair(GROUP, Mode.VOPRF, bytes(range(32)), b"search")
PAIRS = 32
TRIES = 4_096
BLINDED = [Element(GROUP.hash_to_group(bytes([index]), b"blinded")) for index in range(PAIRS)]
TRUE = [Element(GROUP.multiply(KEYS.secret, blinded)) for blinded in BLINDED]
NONCE = Scalar((12_345).to_bytes(32, "big"))

Sum: TypeAlias = tuple[int, tuple[int, ...]]
"""A sum of weighted errors, in -ORDER/2 .. ORDER/2, and the errors behind it, pair by pair."""


def false_answer(index: int, error: int) -> Element:
    """Return a pair's evaluation plus a known multiple of the generator."""
    off = GROUP.multiply_generator(Scalar((error % ORDER).to_bytes(32, "big")))
    return Element(GROUP.add(TRUE[index], off))


def weight(index: int, evaluated: Element) -> int:
    """Return the weight of a pair by the RFC's seed, which does not depend on other pairs."""

    def framed(part: bytes) -> bytes:
        return len(part).to_bytes(2, "big") + part

    seed = GROUP.hash(framed(KEYS.public) + framed(b"Seed-" + CONTEXT))
    pair = framed(BLINDED[index]) + framed(evaluated)
    message = framed(seed) + index.to_bytes(2, "big") + pair + b"Composite"
    return int.from_bytes(GROUP.hash_to_scalar(message, b"HashToScalar-" + CONTEXT), "big")


def centred(value: int) -> int:
    return (value + ORDER // 2) % ORDER - ORDER // 2


def merge(left: list[Sum], right: list[Sum], bound: int) -> list[Sum]:
    """Return the sums of one value from each side that are within the bound."""
    values = sorted((value, errors) for value, errors in right)
    keys = [value for value, _ in values]
    sums: list[Sum] = []
    for value, errors in left:
        for turn in (-ORDER, 0, ORDER):
            low, high = (
                bisect(keys, turn - value + end)
                for bisect, end in ((bisect_left, -bound), (bisect_right, bound))
            )
            sums += [(centred(value + other), errors + more) for other, more in values[low:high]]
    return sums[: 2 * TRIES]


def search() -> list[Element]:
    """Find false answers to all pairs whose weighted errors sum to zero."""
    lists: list[list[Sum]] = [
        [
            (centred(weight(index, false_answer(index, error)) * error), (error,))
            for error in range(1, TRIES + 1)
        ]
        for index in range(PAIRS)
    ]
    bound = ORDER
    while len(lists) > 1:
        bound = bound // TRIES if len(lists) > 2 else 0
        lists = [merge(left, right, bound) for left, right in zip(lists[::2], lists[1::2], strict=True)]
    return [false_answer(index, error) for index, error in enumerate(lists[0][0][1])]


def verify(evaluated: list[Element], seed: dleq.SeedFunction) -> None:
    """Prove as an honest holder does, and verify."""
    proof = dleq.prove(GROUP, CONTEXT, KEYS.secret, KEYS.public, BLINDED, evaluated, NONCE, seed)
    dleq.verify(GROUP, CONTEXT, KEYS.public, BLINDED, evaluated, proof, seed)


def refused(evaluated: list[Element], seed: dleq.SeedFunction) -> bool:
    """Return whether a verifier refuses the answers."""
    try:
        verify(evaluated, seed)
    except CryptoError as error:
        assert error.code is Code.BAD_PROOF
        return True
    return False


@pytest.mark.parametrize("seed", [dleq.rfc_seed, dleq.batch_seed])
def test_false_answers_that_were_not_searched_for_are_refused(seed: dleq.SeedFunction) -> None:
    verify(TRUE, seed)
    assert refused([false_answer(index, 1) for index in range(PAIRS)], seed)


def test_false_answers_that_were_searched_for_pass_by_the_rfcs_weights_and_not_by_ours() -> None:
    found = search()
    assert all(false != true for false, true in zip(found, TRUE, strict=True))
    verify(found, dleq.rfc_seed)
    assert refused(found, dleq.batch_seed)


def test_every_element_decides_every_weight() -> None:
    """A change of one answer changes the seed, and so all weights: the search finds nothing."""
    seed = dleq.batch_seed(GROUP, CONTEXT, KEYS.public, BLINDED, TRUE)
    for place in range(PAIRS):
        other = [*TRUE[:place], false_answer(place, 1), *TRUE[place + 1 :]]
        assert dleq.batch_seed(GROUP, CONTEXT, KEYS.public, BLINDED, other) != seed
        questions = [*BLINDED[:place], TRUE[place], *BLINDED[place + 1 :]]
        assert dleq.batch_seed(GROUP, CONTEXT, KEYS.public, questions, TRUE) != seed
