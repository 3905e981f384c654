"""Proofs of evaluation: complete, zero-knowledge for an honest verifier, sound, and sound in batches.

The checks program the random oracle: they try all challenges instead of one. Prover and verifier each ask the
oracle for the challenge of a transcript. If both transcripts are equal, both get the same challenge, and the
verifier accepts. So the checks compare transcripts.
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
    """Check that each honest proof verifies:

    all keys, nonces and challenges, batches of two, some weights.
    """
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
    """Check that a simulator without the key makes the proofs of a prover with it.

    For each true statement and challenge, it must make the proofs of all nonces.
    The simulator draws the response uniformly. The response and the challenge determine the commitments,
    which it computes as a verifier does. The multisets of real and simulated transcripts and responses must
    be equal.
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
                raise Refuted(f"order {order}: real proofs differ from simulated ones")
    return cases


def check_soundness(verify: Verify = dleq.verify) -> int:
    """Check that each commitment to a false statement has at most one challenge with a valid response.

    A cheating holder commits before the oracle answers, so each attempt succeeds with probability at most
    1/q.
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
    """Check that at most one in q of all weights hides a false element of a batch of two."""
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
    """Return the verifier's transcript for a proof.

    The proof's challenge is the one that the oracle returns.
    """
    verify(group, _CONTEXT, public, blinded, evaluated, proof)
    return group.asked.pop()


def prove_with_the_wrong_sign(
    group: Group, context: bytes, secret: Scalar, public: Element, blinded: Sequence[Element],
    evaluated: Sequence[Element], nonce: Scalar,
) -> Proof:  # fmt: skip
    """Prove with the negated response: a mutant."""
    zero = Scalar(bytes(group.scalar_size))
    one = Scalar((1).to_bytes(group.scalar_size, "big"))
    proof = dleq.prove(group, context, secret, public, blinded, evaluated, nonce)
    return Proof(proof.challenge, group.scalar_multiply_subtract(zero, one, proof.response))


def prove_with_a_constant_nonce(
    group: Group, context: bytes, secret: Scalar, public: Element, blinded: Sequence[Element],
    evaluated: Sequence[Element], nonce: Scalar,
) -> Proof:  # fmt: skip
    """Prove with one nonce for all statements: a mutant that reveals the key."""
    one = Scalar((1).to_bytes(group.scalar_size, "big"))
    return dleq.prove(group, context, secret, public, blinded, evaluated, one)


def verify_without_the_second_commitment(
    group: Group, context: bytes, public: Element, blinded: Sequence[Element], evaluated: Sequence[Element],
    proof: Proof,
) -> None:  # fmt: skip
    """Verify the statement about the public key only, without the evaluated elements: a mutant."""
    dleq.verify(group, context, public, [group.generator], [public], proof)


def control_completeness() -> int:
    """Run the check on the mutant."""
    return check_completeness(prove_with_the_wrong_sign)


def control_zero_knowledge() -> int:
    """Run the check on the mutant."""
    return check_zero_knowledge(prove_with_a_constant_nonce)


def control_soundness() -> int:
    """Run the check on the mutant."""
    return check_soundness(verify_without_the_second_commitment)


def control_batches() -> int:
    """Run the check on a mutant in which all weights are one."""
    return check_batches(lambda _first, _second: (1, 1))
