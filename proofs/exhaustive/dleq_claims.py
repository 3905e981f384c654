"""Proofs of evaluation: complete, zero-knowledge for an honest verifier, sound, and sound in batches.

The random oracle is programmed: instead of one challenge, a proof goes through all of them. A verifier that
asks the oracle about the transcript that the prover asked about gets the same challenge, and accepts; so
what is compared is transcripts.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from mandorla_protocol import dleq
from mandorla_protocol.dleq import Proof
from mandorla_protocol.group import Element, Group, Scalar

from .groups import Refuted, SmallGroup

Prove = Callable[[Group, bytes, Scalar, Element, Sequence[Element], Sequence[Element], Scalar], Proof]
Verify = Callable[[Group, bytes, Element, Sequence[Element], Sequence[Element], Proof], None]

_CONTEXT = b"small"
_ORDERS = (5, 7, 11, 13)


def check_completeness(prove: Prove = dleq.prove) -> int:
    """Every honest proof verifies: all keys, batches of two, nonces, challenges and some weights."""
    cases = 0
    for order in (5, 7, 11):
        group = SmallGroup(order)
        for weights in ((1, 1), (2, 3), (order - 1, 1)):
            group.weights = weights
            for secret, nonce in itertools.product(group.scalars(), group.scalars()):
                public = Element(group.multiply_generator(secret))
                for blinded in itertools.islice(itertools.product(group.elements(), repeat=2), 0, None, 3):
                    evaluated = [Element(group.multiply(secret, one)) for one in blinded]
                    for challenge in range(order):
                        group.challenge = challenge
                        proof = prove(group, _CONTEXT, secret, public, blinded, evaluated, nonce)
                        asked = group.asked.pop()
                        if asked != _transcript(dleq.verify, group, public, blinded, evaluated, proof):
                            raise Refuted(f"order {order}: an honest proof is refused")
                        cases += 1
    return cases


def check_zero_knowledge(prove: Prove = dleq.prove) -> int:
    """For every true statement and challenge, proofs over all nonces are what a simulator makes.

    It has no key: it draws the response uniformly, and the commitments follow from it and the challenge, as a
    verifier computes them. The multisets of transcripts and responses, real and simulated, must be equal.
    """
    cases = 0
    for order in _ORDERS:
        group = SmallGroup(order)
        every = [group.scalar(number) for number in range(order)]
        for secret, blinded, challenge in itertools.product(group.scalars(), group.elements(), range(order)):
            group.challenge = challenge
            public, evaluated = (
                Element(group.multiply_generator(secret)),
                Element(group.multiply(secret, blinded)),
            )
            real, ideal = Counter[tuple[bytes, Scalar]](), Counter[tuple[bytes, Scalar]]()
            for drawn in every:
                proof = prove(group, _CONTEXT, secret, public, [blinded], [evaluated], drawn)
                real[group.asked.pop(), proof.response] += 1
                simulated = Proof(group.scalar(challenge), drawn)
                asked = _transcript(dleq.verify, group, public, [blinded], [evaluated], simulated)
                ideal[asked, drawn] += 1
                cases += 1
            if real != ideal:
                raise Refuted(f"order {order}: real proofs are told from simulated ones")
    return cases


def check_soundness(verify: Verify = dleq.verify) -> int:
    """For a false statement, every commitment has at most one challenge to which there is an answer.

    A cheating holder commits before the oracle answers, and so succeeds with probability at most 1/q a try.
    """
    cases = 0
    for order in (5, 7, 11):
        group = SmallGroup(order)
        for secret in group.scalars():
            public = Element(group.multiply_generator(secret))
            for blinded, evaluated in itertools.product(group.elements(), repeat=2):
                if evaluated == group.multiply(secret, blinded):
                    continue
                answered: defaultdict[bytes, set[int]] = defaultdict(set)
                for challenge, response in itertools.product(range(order), repeat=2):
                    group.challenge = challenge
                    proof = Proof(group.scalar(challenge), group.scalar(response))
                    answered[_transcript(verify, group, public, [blinded], [evaluated], proof)].add(challenge)
                    cases += 1
                if any(len(challenges) > 1 for challenges in answered.values()):
                    raise Refuted(
                        f"order {order}: one commitment answers two challenges of a false statement"
                    )
    return cases


def check_batches(
    weigh: Callable[[int, int], tuple[int, int]] = lambda first, second: (first, second),
) -> int:
    """Of all weights, at most one in q hides a false element of a batch of two."""
    cases = 0
    for order in (5, 7):
        group = SmallGroup(order)
        for secret in group.scalars():
            public = Element(group.multiply_generator(secret))
            blinded = [group.elements()[0], group.elements()[1]]
            for evaluated in itertools.product(group.elements(), repeat=2):
                if all(group.multiply(secret, b) == e for b, e in zip(blinded, evaluated, strict=True)):
                    continue
                hidden = 0
                for weights in itertools.product(range(order), repeat=2):
                    group.weights, group.challenge = weigh(*weights), 1
                    proof = dleq.prove(group, _CONTEXT, secret, public, blinded, evaluated, group.scalar(1))
                    asked = group.asked.pop()
                    hidden += asked == _transcript(dleq.verify, group, public, blinded, evaluated, proof)
                    cases += 1
                if hidden > order:
                    raise Refuted(f"order {order}: {hidden} of {order**2} weights hide a false element")
    return cases


def _transcript(
    verify: Verify, group: SmallGroup, public: Element, blinded: Sequence[Element], evaluated:
    Sequence[Element], proof: Proof,
) -> bytes:  # fmt: skip
    """Return what a verifier asks the oracle about a proof whose challenge is the one that it answers."""
    verify(group, _CONTEXT, public, blinded, evaluated, proof)
    return group.asked.pop()


def prove_with_the_wrong_sign(
    group: Group, context: bytes, secret: Scalar, public: Element, blinded: Sequence[Element],
    evaluated: Sequence[Element], nonce: Scalar,
) -> Proof:  # fmt: skip
    """Answer with the negated nonce: a mutant."""
    zero = Scalar(bytes(group.scalar_size))
    one = Scalar((1).to_bytes(group.scalar_size, "big"))
    proof = dleq.prove(group, context, secret, public, blinded, evaluated, nonce)
    return Proof(proof.challenge, group.scalar_multiply_subtract(zero, one, proof.response))


def prove_with_a_constant_nonce(
    group: Group, context: bytes, secret: Scalar, public: Element, blinded: Sequence[Element],
    evaluated: Sequence[Element], nonce: Scalar,
) -> Proof:  # fmt: skip
    """Use one nonce for everything: a mutant that gives the key away."""
    one = Scalar((1).to_bytes(group.scalar_size, "big"))
    return dleq.prove(group, context, secret, public, blinded, evaluated, one)


def verify_without_the_second_commitment(
    group: Group, context: bytes, public: Element, blinded: Sequence[Element], evaluated: Sequence[Element],
    proof: Proof,
) -> None:  # fmt: skip
    """Check the statement about the key alone, as if the evaluated element were left out: a mutant."""
    dleq.verify(group, context, public, [group.generator], [public], proof)


def control_completeness() -> int:
    """Check the mutant."""
    return check_completeness(prove_with_the_wrong_sign)


def control_zero_knowledge() -> int:
    """Check the mutant."""
    return check_zero_knowledge(prove_with_a_constant_nonce)


def control_soundness() -> int:
    """Check the mutant."""
    return check_soundness(verify_without_the_second_commitment)


def control_batches() -> int:
    """Check a batch in which all weights are one."""
    return check_batches(lambda _first, _second: (1, 1))
