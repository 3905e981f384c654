"""A proof holds for one key, one batch, one order and one context, because its hashes cover each of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from mandorla_protocol import dleq, oprf
from mandorla_protocol.dleq import MAX_BATCH, Proof
from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.group import Element, Scalar
from mandorla_protocol.group.ristretto255 import Ristretto255, expand_message_xmd
from mandorla_protocol.oprf import KeyPair, Mode
from tests.protocol.alterations import alterations

ORDER = 2**252 + 27742317777372353535851937790883648493
GROUP = Ristretto255()
CONTEXT = oprf.context_string(Mode.VOPRF, GROUP)
KEYS = oprf.derive_key_pair(GROUP, Mode.VOPRF, bytes(range(32)), b"dleq")
OTHER_KEYS = oprf.derive_key_pair(GROUP, Mode.VOPRF, bytes(range(32)), b"other")


def element(name: str) -> Element:
    return GROUP.decode_element(GROUP.hash_to_group(name.encode(), b"test"))


def scalar(value: int) -> Scalar:
    return Scalar((value % ORDER).to_bytes(32, "little"))


def evaluate(keys: KeyPair, blinded: Sequence[Element]) -> tuple[Element, ...]:
    return tuple(oprf.blind_evaluate(GROUP, keys.secret, e) for e in blinded)


@dataclass(frozen=True)
class Statement:
    """The arguments of a verifier."""

    context: bytes
    public_key: Element
    blinded: tuple[Element, ...]
    evaluated: tuple[Element, ...]
    proof: Proof

    def verify(self) -> None:
        dleq.verify(GROUP, self.context, self.public_key, self.blinded, self.evaluated, self.proof)


def state(keys: KeyPair, blinded: tuple[Element, ...], nonce: int) -> Statement:
    evaluated = evaluate(keys, blinded)
    proof = dleq.prove(GROUP, CONTEXT, keys.secret, keys.public, blinded, evaluated, scalar(nonce))
    return Statement(CONTEXT, keys.public, blinded, evaluated, proof)


BATCH = tuple(element(f"blinded {i}") for i in range(4))
TRUE = state(KEYS, BATCH, nonce=12345)
STRANGER = element("stranger")


def assert_refused(statement: Statement, code: Code = Code.BAD_PROOF) -> None:
    with pytest.raises(CryptoError) as caught:
        statement.verify()
    assert caught.value.code is code


def with_item(items: tuple[Element, ...], index: int, item: bytes) -> tuple[Element, ...]:
    return (*items[:index], Element(item), *items[index + 1 :])


def test_a_true_statement_is_accepted() -> None:
    TRUE.verify()
    state(KEYS, BATCH[:1], nonce=1).verify()


@pytest.mark.parametrize("public_key", [OTHER_KEYS.public, STRANGER, GROUP.generator, BATCH[0]])
def test_another_public_key_is_refused(public_key: Element) -> None:
    assert_refused(replace(TRUE, public_key=public_key))


@pytest.mark.parametrize("side", ["blinded", "evaluated"])
@pytest.mark.parametrize("index", range(4))
def test_an_altered_element_is_refused(side: str, index: int) -> None:
    for other in (STRANGER, GROUP.generator, getattr(TRUE, side)[index - 1]):
        items = with_item(getattr(TRUE, side), index, other)
        assert_refused(replace(TRUE, **{side: items}))


def test_an_element_evaluated_with_another_key_is_refused_in_any_place() -> None:
    others = evaluate(OTHER_KEYS, BATCH)
    for index in range(4):
        assert_refused(replace(TRUE, evaluated=with_item(TRUE.evaluated, index, others[index])))


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 3), (1, 2)])
def test_pairs_in_another_order_are_refused(one: int, other: int) -> None:
    """All pairs are true, so only their indices differ."""
    order = list(range(4))
    order[one], order[other] = other, one
    swapped = [tuple(items[i] for i in order) for items in (TRUE.blinded, TRUE.evaluated)]
    assert_refused(replace(TRUE, blinded=swapped[0], evaluated=swapped[1]))


def test_only_one_side_in_another_order_is_refused() -> None:
    assert_refused(replace(TRUE, blinded=TRUE.blinded[::-1]))
    assert_refused(replace(TRUE, evaluated=TRUE.evaluated[::-1]))


def test_pairs_moved_by_an_index_are_refused() -> None:
    assert_refused(
        replace(
            TRUE,
            blinded=(*TRUE.blinded[1:], TRUE.blinded[0]),
            evaluated=(*TRUE.evaluated[1:], TRUE.evaluated[0]),
        )
    )


def test_a_shorter_or_longer_batch_of_true_pairs_is_refused() -> None:
    assert_refused(replace(TRUE, blinded=TRUE.blinded[:3], evaluated=TRUE.evaluated[:3]))
    assert_refused(replace(TRUE, blinded=TRUE.blinded[1:], evaluated=TRUE.evaluated[1:]))
    longer = (*BATCH, BATCH[0])
    assert_refused(replace(TRUE, blinded=longer, evaluated=evaluate(KEYS, longer)))


@pytest.mark.parametrize(("blinded", "evaluated"), [(4, 3), (3, 4), (0, 4), (4, 0), (0, 0)])
def test_sides_of_different_lengths_and_empty_batches_are_refused(blinded: int, evaluated: int) -> None:
    statement = replace(TRUE, blinded=TRUE.blinded[:blinded], evaluated=TRUE.evaluated[:evaluated])
    assert_refused(statement, Code.BAD_LENGTH)
    with pytest.raises(CryptoError):
        dleq.prove(
            GROUP, CONTEXT, KEYS.secret, KEYS.public, statement.blinded, statement.evaluated, scalar(1)
        )


def test_a_proof_covers_one_to_65535_elements() -> None:
    for count in (1, 65_535):
        dleq.require_batch(count, count)
    for counts in ((0, 0), (65_536, 65_536), (1, 2)):
        with pytest.raises(CryptoError) as caught:
            dleq.require_batch(*counts)
        assert caught.value.code is Code.BAD_LENGTH


def test_a_batch_whose_index_does_not_fit_two_bytes_is_refused() -> None:
    too_many = (STRANGER,) * (MAX_BATCH + 1)
    assert_refused(replace(TRUE, blinded=too_many, evaluated=too_many), Code.BAD_LENGTH)


@pytest.mark.parametrize(
    "context",
    [
        oprf.context_string(Mode.OPRF, GROUP),
        b"OPRFV1-\x02-ristretto255-SHA512",
        CONTEXT + b"x",
        CONTEXT[:-1],
        b"",
    ],
)
def test_another_context_is_refused(context: bytes) -> None:
    assert_refused(replace(TRUE, context=context))


def test_the_proof_of_another_batch_or_key_is_refused() -> None:
    other_batch = tuple(element(f"other {i}") for i in range(4))
    assert_refused(replace(TRUE, proof=state(KEYS, other_batch, nonce=12345).proof))
    assert_refused(replace(TRUE, proof=state(OTHER_KEYS, BATCH, nonce=12345).proof))


@pytest.mark.parametrize("part", ["challenge", "response"])
@pytest.mark.parametrize("change", [1, -1, 2**128])
def test_an_altered_scalar_is_refused(part: str, change: int) -> None:
    value = int.from_bytes(getattr(TRUE.proof, part), "little") + change
    assert_refused(replace(TRUE, proof=replace(TRUE.proof, **{part: scalar(value)})))


def test_zero_scalars_and_swapped_scalars_are_refused() -> None:
    zero = scalar(0)
    for proof in (
        Proof(zero, zero),
        Proof(zero, TRUE.proof.response),
        Proof(TRUE.proof.challenge, zero),
        Proof(TRUE.proof.response, TRUE.proof.challenge),
    ):
        assert_refused(replace(TRUE, proof=proof))


def test_no_altered_byte_of_a_proof_is_accepted() -> None:
    encoded = TRUE.proof.encode()
    assert Proof.decode(encoded, GROUP) == TRUE.proof
    for altered in alterations(encoded):
        with pytest.raises(CryptoError) as caught:
            replace(TRUE, proof=Proof.decode(altered, GROUP)).verify()
        assert caught.value.code in {Code.BAD_LENGTH, Code.BAD_SCALAR, Code.BAD_PROOF}
        assert (len(altered) == 64) != (caught.value.code is Code.BAD_LENGTH)


@pytest.mark.parametrize("start", [0, 32])
@pytest.mark.parametrize("multiple", [1, 2, 15])
def test_a_scalar_plus_the_order_is_not_the_same_scalar(start: int, multiple: int) -> None:
    encoded = TRUE.proof.encode()
    value = int.from_bytes(encoded[start : start + 32], "little") + multiple * ORDER
    altered = encoded[:start] + value.to_bytes(32, "little") + encoded[start + 32 :]
    with pytest.raises(CryptoError) as caught:
        Proof.decode(altered, GROUP)
    assert caught.value.code is Code.BAD_SCALAR


# Attacks: each succeeds if the hash of a weight or of the challenge leaves out one field.


def weights(public_key: Element, blinded: Sequence[bytes], evaluated: Sequence[bytes]) -> list[int]:
    """Return the weights of RFC 9497 section 2.2.1, ComputeComposites, in a second implementation."""

    def framed(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)

    batch = len(blinded).to_bytes(4, "big") + b"".join([*blinded, *evaluated])
    seed = hashlib.sha512(framed(public_key, b"Batch-" + CONTEXT) + batch).digest()
    return [
        int.from_bytes(
            expand_message_xmd(
                framed(seed) + index.to_bytes(2, "big") + framed(c, d) + b"Composite",
                b"HashToScalar-" + CONTEXT,
            ),
            "little",
        )
        % ORDER
        for index, (c, d) in enumerate(zip(blinded, evaluated, strict=True))
    ]


def verifiers_weights(
    public_key: Element, blinded: Sequence[Element], evaluated: Sequence[Element]
) -> list[int]:
    """Return the weights that the code computes, which an attacker knows."""
    seed = dleq.batch_seed(GROUP, CONTEXT, public_key, blinded, evaluated)
    drawn = dleq._weights(GROUP, CONTEXT, seed, blinded, evaluated)
    return [int.from_bytes(weight, "little") for weight in drawn]


def test_the_weights_are_the_rfcs_but_for_the_seed() -> None:
    for statement in (TRUE, state(OTHER_KEYS, BATCH[:2], nonce=1)):
        given = statement.public_key, statement.blinded, statement.evaluated
        assert verifiers_weights(*given) == weights(*given)


def challenge(*points: bytes) -> Scalar:
    transcript = b"".join(len(point).to_bytes(2, "big") + point for point in points) + b"Challenge"
    return GROUP.hash_to_scalar(transcript, b"HashToScalar-" + CONTEXT)


def combine(coefficients: Sequence[int], elements: Sequence[bytes]) -> bytes:
    total = GROUP.identity
    for coefficient, item in zip(coefficients, elements, strict=True):
        total = GROUP.add(total, GROUP.multiply(scalar(coefficient), item))
    return total


@pytest.mark.parametrize("side", ["blinded", "evaluated"])
def test_errors_that_cancel_under_known_weights_are_refused(side: str) -> None:
    """If weights do not depend on the blinded or on the evaluated elements, two false elements can cancel."""
    w = verifiers_weights(TRUE.public_key, TRUE.blinded, TRUE.evaluated)
    items = getattr(TRUE, side)
    first = combine([1, 1], [items[0], STRANGER])
    second = combine([1, -w[0] * pow(w[1], -1, ORDER)], [items[1], STRANGER])
    false = with_item(with_item(items, 0, first), 1, second)
    assert combine(w, false) == combine(w, items)
    assert_refused(replace(TRUE, **{side: false}))


def test_a_key_chosen_after_the_challenge_is_refused() -> None:
    """If the challenge leaves out the public key, a prover can solve for a key that evaluated nothing."""
    w = verifiers_weights(KEYS.public, BATCH, TRUE.evaluated)
    m, z = combine(w, BATCH), combine(w, TRUE.evaluated)
    t2, t3 = GROUP.multiply_generator(scalar(77)), GROUP.multiply(scalar(5), m)
    c = int.from_bytes(dleq._challenge(GROUP, CONTEXT, KEYS.public, m, z, t2, t3), "little")
    secret = int.from_bytes(KEYS.secret, "little")
    response = scalar(5 - c * secret)  # satisfies t3
    key = combine([pow(c, -1, ORDER)], [combine([1, -1], [t2, GROUP.multiply_generator(response)])])
    assert key != KEYS.public
    assert_refused(replace(TRUE, public_key=Element(key), proof=Proof(scalar(c), response)))


@pytest.mark.parametrize("left_out", range(5))
def test_a_challenge_without_one_of_its_points_is_refused(left_out: int) -> None:
    """A verifier refuses an honest prover whose transcript lacks one of the five points."""
    w = weights(KEYS.public, BATCH, TRUE.evaluated)
    m, z = combine(w, BATCH), combine(w, TRUE.evaluated)
    points = [KEYS.public, m, z, GROUP.multiply_generator(scalar(9)), GROUP.multiply(scalar(9), m)]

    def proof(*transcript: bytes) -> Proof:
        c = challenge(*transcript)
        return Proof(c, GROUP.scalar_multiply_subtract(scalar(9), c, KEYS.secret))

    replace(TRUE, proof=proof(*points)).verify()
    assert_refused(replace(TRUE, proof=proof(*points[:left_out], *points[left_out + 1 :])))


def test_the_simulators_proof_is_refused() -> None:
    """A simulator chooses challenge and response first, and the hash gives another challenge."""
    false = with_item(TRUE.evaluated, 2, STRANGER)
    for guess in range(1, 5):
        assert_refused(replace(TRUE, evaluated=false, proof=Proof(scalar(guess), scalar(guess + 1))))


def test_proofs_do_not_depend_on_anything_but_the_statement_and_the_nonce() -> None:
    assert state(KEYS, BATCH, nonce=12345) == TRUE
    assert state(KEYS, BATCH, nonce=12346).proof != TRUE.proof


def test_one_nonce_for_two_statements_reveals_the_key() -> None:
    """s1 - s2 = (c2 - c1) * secret: so the nonce must be derived from the statement."""
    other = state(KEYS, BATCH[:2], nonce=12345)
    (c1, s1), (c2, s2) = (
        (int.from_bytes(p.challenge, "little"), int.from_bytes(p.response, "little"))
        for p in (TRUE.proof, other.proof)
    )
    assert scalar((s1 - s2) * pow(c2 - c1, -1, ORDER)) == KEYS.secret
