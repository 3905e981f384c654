"""The OPRF: its outputs are correct, and a blinded element is independent of the input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mandorla_protocol import oprf
from mandorla_protocol.errors import CryptoError
from mandorla_protocol.group import Element, Group, Scalar
from mandorla_protocol.oprf import Mode

from .groups import MODULI, Refuted, SmallGroup

Blind = Callable[[Group, Mode, bytes, Scalar], Element]
Finalize = Callable[[Group, bytes, Scalar, Element, Element], bytes]


def check_correctness(finalize: Finalize = oprf.finalize_additively) -> int:
    """Check that the querier's output is the holder's, for all keys, inputs and blinds."""
    cases = 0
    for order in MODULI:
        group = SmallGroup(order)
        for value in group.elements():
            for secret in group.scalars():
                alone = oprf.evaluate(group, Mode.VOPRF, secret, value)
                public_key = Element(group.multiply_generator(secret))
                for blinding, blinded in _blinded(group, value, oprf.blind_additively):
                    evaluated = oprf.blind_evaluate(group, secret, blinded)
                    if finalize(group, value, blinding, evaluated, public_key) != alone:
                        raise Refuted(f"order {order}: the output differs from the holder's")
                    cases += 1
    return cases


def check_blinding_is_perfect(blind: Blind = oprf.blind_additively) -> int:
    """Check that blinded elements are uniform: for each input, all blinds give each element exactly once.

    A blinded element is the view of a holder that answers once. The simulator of SPEC 12 draws a uniform
    element, so both distributions are equal, and not merely close. Zero is a blind here, as in the algebra.
    An engine refuses zero as a sign of a broken source of randomness; SPEC 12.3 counts this.
    """
    cases = 0
    for order in MODULI:
        group = SmallGroup(order)
        ideal = Counter(group.elements())
        for value in group.elements():
            real = Counter(blinded for _, blinded in _blinded(group, value, blind))
            if real != ideal:
                raise Refuted(f"order {order}: blinded elements are not uniform")
            cases += real.total()
    return cases


def _blinded(group: SmallGroup, value: bytes, blind: Blind) -> list[tuple[Scalar, Element]]:
    """Blind an input with all blinds except the one that gives the identity, which is refused."""
    pairs = []
    for blinding in (group.scalar(0), *group.scalars()):
        try:
            pairs.append((blinding, blind(group, Mode.VOPRF, value, blinding)))
        except CryptoError:
            continue
    return pairs


def finalize_with_the_generator(
    group: Group, value: bytes, blinding: Scalar, evaluated: Element, public_key: Element
) -> bytes:
    """Subtract the added mask, and not the mask times the key: a mutant."""
    return oprf.finalize_additively(group, value, blinding, evaluated, group.generator)


def blind_with_few_scalars(group: Group, mode: Mode, value: bytes, blinding: Scalar) -> Element:
    """Blind with 2 instead of 1: a mutant that is almost uniform."""
    few = 2 if blinding == b"\0\1" else int.from_bytes(blinding, "big")
    return oprf.blind_additively(group, mode, value, Scalar(few.to_bytes(2, "big")))


def control_correctness() -> int:
    """Run the check on the mutant."""
    return check_correctness(finalize_with_the_generator)


def control_blinding() -> int:
    """Run the check on the mutant."""
    return check_blinding_is_perfect(blind_with_few_scalars)
