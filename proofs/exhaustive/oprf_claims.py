"""The OPRF: that it computes what it should, and that a blinded element says nothing about the input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mandorla_protocol import oprf
from mandorla_protocol.group import Element, Group, Scalar
from mandorla_protocol.oprf import Mode

from .groups import MODULI, Refuted, SmallGroup

Blind = Callable[[Group, Mode, bytes, Scalar], Element]
Finalize = Callable[[Group, bytes, Scalar, Element], bytes]


def check_correctness(finalize: Finalize = oprf.finalize) -> int:
    """For every key, input and blind, the querier ends with what the holder computes alone."""
    cases = 0
    for order in MODULI:
        group = SmallGroup(order)
        for value in group.elements():
            for secret in group.scalars():
                alone = oprf.evaluate(group, Mode.VOPRF, secret, value)
                for blinding in group.scalars():
                    blinded = oprf.blind(group, Mode.VOPRF, value, blinding)
                    evaluated = oprf.blind_evaluate(group, secret, blinded)
                    if finalize(group, value, blinding, evaluated) != alone:
                        raise Refuted(f"order {order}: another output than the holder's")
                    cases += 1
    return cases


def check_blinding_is_perfect(blind: Blind = oprf.blind) -> int:
    """For every input the blinded element is uniform: the multiset over all blinds is every element once.

    That is the view of a holder that answers once. The simulator of SPEC 12 draws a uniform element, and
    the two are equal, not merely close.
    """
    cases = 0
    for order in MODULI:
        group = SmallGroup(order)
        ideal = Counter(group.elements())
        for value in group.elements():
            real = Counter(blind(group, Mode.VOPRF, value, blinding) for blinding in group.scalars())
            if real != ideal:
                raise Refuted(f"order {order}: blinded elements are not uniform")
            cases += order - 1
    return cases


def finalize_without_inverting(group: Group, value: bytes, blinding: Scalar, evaluated: Element) -> bytes:
    """Unblind with the blind itself: a mutant."""
    return oprf.finalize(group, value, group.scalar_invert(blinding), evaluated)


def blind_with_few_scalars(group: Group, mode: Mode, value: bytes, blinding: Scalar) -> Element:
    """Never use the blind 1, and 2 in its place: a mutant that is all but uniform."""
    few = max(2, int.from_bytes(blinding, "big"))
    return oprf.blind(group, mode, value, Scalar(few.to_bytes(2, "big")))


def control_correctness() -> int:
    """Check the mutant."""
    return check_correctness(finalize_without_inverting)


def control_blinding() -> int:
    """Check the mutant."""
    return check_blinding_is_perfect(blind_with_few_scalars)
