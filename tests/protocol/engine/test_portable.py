"""Each engine gives the querier the holder's outputs, and refuses what a peer alters."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mandorla_protocol import oprf
from mandorla_protocol.engine import OUTPUT_SIZE, TOKEN_SIZE, split
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.epochs import Epoch, LabId, epoch_keys, proof_nonce
from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.group import Element
from mandorla_protocol.group.ristretto255 import Ristretto255
from mandorla_protocol.oprf import KeyPair, Mode
from tests.protocol.alterations import alterations
from tests.protocol.strategies import EPOCHS, exactly
from tests.protocol.toy_group import ToyGroup

ENGINES = {"ristretto255": PortableEngine(), "toy": PortableEngine(ToyGroup())}
SEED = bytes(range(32))
UNIFORM = bytes(range(64))
ORDER = 2**252 + 27742317777372353535851937790883648493

NOT_ELEMENTS = {
    "identity": bytes(32),
    "identity with the high bit": bytes(31) + b"\x80",
    "not canonical": b"\xff" * 31 + b"\x7f",
    "negative": b"\x01" + bytes(31),
}


def tokens(count: int) -> bytes:
    return b"".join(bytes([index]) * TOKEN_SIZE for index in range(count))


def uniform(count: int) -> bytes:
    return b"".join(bytes([index + 1]) * 64 for index in range(count))


@dataclass(frozen=True)
class Answer:
    """A chunk and its answer, as a querier has them."""

    engine: PortableEngine
    keys: KeyPair
    public_key: Element
    tokens: bytes
    blinds: bytes
    blinded: bytes
    evaluated: bytes
    proof: bytes

    def finalize(self) -> bytes:
        return self.engine.verify_and_finalize(
            self.public_key, self.tokens, self.blinds, self.blinded, self.evaluated, self.proof
        )


def answer(engine: PortableEngine, count: int, info: bytes = b"") -> Answer:
    keys = engine.derive_key_pair(SEED, info)
    blinds, blinded = engine.blind(tokens(count), uniform(count))
    evaluated, proof = engine.evaluate_and_prove(keys, blinded, UNIFORM)
    return Answer(engine, keys, keys.public, tokens(count), blinds, blinded, evaluated, proof)


ANSWER = answer(ENGINES["ristretto255"], 3)


def assert_refused(answer: Answer, code: Code) -> None:
    with pytest.raises(CryptoError) as caught:
        answer.finalize()
    assert caught.value.code is code


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_both_sides_get_the_same_outputs(engine: PortableEngine, count: int) -> None:
    answered = answer(engine, count)
    outputs = answered.finalize()
    assert outputs == engine.evaluate(answered.keys, tokens(count))
    assert len(set(split(outputs, OUTPUT_SIZE))) == count


@settings(max_examples=30)
@given(st.lists(exactly(32), min_size=1, max_size=12))
def test_an_output_depends_on_key_and_token_only(values: list[bytes]) -> None:
    engine = ENGINES["toy"]
    keys = engine.derive_key_pair(SEED, b"")
    outputs = engine.evaluate(keys, b"".join(values))
    singles = [engine.evaluate(keys, value) for value in values]
    assert outputs == b"".join(singles)
    assert len(set(singles)) == len(set(values))


def test_outputs_are_those_of_the_rfcs_functions() -> None:
    group = Ristretto255()
    for value, output in zip(
        split(ANSWER.tokens, TOKEN_SIZE), split(ANSWER.finalize(), OUTPUT_SIZE), strict=True
    ):
        assert output == oprf.evaluate(group, Mode.VOPRF, ANSWER.keys.secret, value)


def test_blinding_hides_the_token_and_no_blind_serves_twice() -> None:
    engine = ENGINES["ristretto255"]
    _, blinded = engine.blind(tokens(1) * 3, uniform(3))
    assert len(set(split(blinded, 32))) == 3
    other_token = engine.blind(tokens(2)[32:], uniform(1))[1]
    assert other_token != blinded[:32]


def test_another_public_key_is_refused() -> None:
    other = ANSWER.engine.derive_key_pair(SEED, b"other").public
    assert_refused(replace(ANSWER, public_key=other), Code.BAD_PROOF)


@pytest.mark.spec("5.1-1")
@pytest.mark.parametrize("public_key", [*NOT_ELEMENTS.values(), b"", bytes(31), bytes(33)])
def test_a_public_key_that_is_no_element_is_refused(public_key: bytes) -> None:
    assert_refused(replace(ANSWER, public_key=Element(public_key)), Code.BAD_ELEMENT)


@pytest.mark.spec("5.1-1")
@pytest.mark.parametrize("bad", NOT_ELEMENTS.values(), ids=NOT_ELEMENTS.keys())
@pytest.mark.parametrize("index", range(3))
def test_elements_that_are_none_are_refused_in_every_place(bad: bytes, index: int) -> None:
    def spoil(elements: bytes) -> bytes:
        return elements[: 32 * index] + bad + elements[32 * (index + 1) :]

    assert_refused(replace(ANSWER, evaluated=spoil(ANSWER.evaluated)), Code.BAD_ELEMENT)
    for check in (
        lambda: ANSWER.engine.decode_elements(spoil(ANSWER.blinded)),
        lambda: ANSWER.engine.evaluate_and_prove(ANSWER.keys, spoil(ANSWER.blinded), UNIFORM),
    ):
        with pytest.raises(CryptoError) as caught:
            check()
        assert caught.value.code is Code.BAD_ELEMENT


@pytest.mark.parametrize("length", [1, 31, 33, 95])
def test_buffers_that_are_cut_within_an_element_are_refused(length: int) -> None:
    assert_refused(replace(ANSWER, evaluated=ANSWER.evaluated[:length]), Code.BAD_LENGTH)
    with pytest.raises(CryptoError) as caught:
        ANSWER.engine.decode_elements(ANSWER.blinded[:length])
    assert caught.value.code is Code.BAD_LENGTH


@pytest.mark.parametrize(
    "alter",
    [
        lambda evaluated: b"",
        lambda evaluated: evaluated[:-32],
        lambda evaluated: evaluated + evaluated[:32],
    ],
    ids=["none", "fewer", "more"],
)
def test_another_number_of_evaluated_elements_is_refused(alter: Callable[[bytes], bytes]) -> None:
    assert_refused(replace(ANSWER, evaluated=alter(ANSWER.evaluated)), Code.BAD_LENGTH)


@pytest.mark.parametrize("field", ["tokens", "blinds", "blinded"])
def test_a_chunk_that_the_querier_mixed_up_is_a_typed_error(field: str) -> None:
    assert_refused(replace(ANSWER, **{field: getattr(ANSWER, field)[32:]}), Code.BAD_LENGTH)


def test_a_token_without_a_blind_is_a_typed_error() -> None:
    for count in (1, 3):
        with pytest.raises(CryptoError) as caught:
            ANSWER.engine.blind(tokens(2), uniform(count))
        assert caught.value.code is Code.BAD_LENGTH


def test_evaluated_elements_in_another_order_are_refused() -> None:
    elements = list(split(ANSWER.evaluated, 32))
    assert_refused(replace(ANSWER, evaluated=b"".join(elements[::-1])), Code.BAD_PROOF)


def test_the_answer_to_another_chunk_is_refused() -> None:
    _, blinded = ANSWER.engine.blind(ANSWER.tokens, uniform(4)[64:])
    evaluated, proof = ANSWER.engine.evaluate_and_prove(ANSWER.keys, blinded, UNIFORM)
    assert_refused(replace(ANSWER, evaluated=evaluated, proof=proof), Code.BAD_PROOF)
    assert_refused(replace(ANSWER, evaluated=evaluated), Code.BAD_PROOF)
    assert_refused(replace(ANSWER, proof=proof), Code.BAD_PROOF)


def test_a_whole_answer_under_another_key_is_refused() -> None:
    other = answer(ANSWER.engine, 3, b"other")
    assert other.finalize()
    assert_refused(replace(ANSWER, evaluated=other.evaluated, proof=other.proof), Code.BAD_PROOF)


@pytest.mark.spec("5.1-2")
@pytest.mark.parametrize("start", [0, 32])
def test_a_scalar_plus_the_order_is_refused(start: int) -> None:
    value = int.from_bytes(ANSWER.proof[start : start + 32], "little") + ORDER
    proof = ANSWER.proof[:start] + value.to_bytes(32, "little") + ANSWER.proof[start + 32 :]
    assert_refused(replace(ANSWER, proof=proof), Code.BAD_SCALAR)


@pytest.mark.spec("5.4-2")
@pytest.mark.parametrize("proof", [b"", ANSWER.proof[:63], ANSWER.proof + b"\x00", ANSWER.proof * 2])
def test_a_proof_of_another_length_is_refused(proof: bytes) -> None:
    assert_refused(replace(ANSWER, proof=proof), Code.BAD_LENGTH)


@pytest.mark.spec("5.4-2")
def test_no_altered_byte_of_an_answer_is_accepted() -> None:
    engine = ENGINES["toy"]
    answered = answer(engine, 2)
    for field in ("evaluated", "proof"):
        for altered in alterations(getattr(answered, field)):
            with pytest.raises(CryptoError):
                replace(answered, **{field: altered}).finalize()


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_has_32_bytes(seed: bytes) -> None:
    with pytest.raises(CryptoError) as caught:
        ANSWER.engine.derive_key_pair(seed, b"")
    assert caught.value.code is Code.BAD_LENGTH


def test_a_nonce_that_reduces_to_zero_is_refused() -> None:
    with pytest.raises(CryptoError) as caught:
        ANSWER.engine.evaluate_and_prove(ANSWER.keys, ANSWER.blinded, bytes(64))
    assert caught.value.code is Code.BAD_SCALAR


@settings(max_examples=25)
@given(EPOCHS, EPOCHS)
def test_every_epoch_has_its_own_key(one: Epoch, other: Epoch) -> None:
    engine = ENGINES["toy"]
    keys = [epoch_keys(engine, SEED, epoch).public for epoch in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_each_field_of_an_epoch_changes_its_key_and_its_nonces() -> None:
    epoch = Epoch(LabId(b"h" * 32), LabId(b"q" * 32), "accounts", 1)
    epochs = [
        epoch,
        replace(epoch, holder=LabId(b"x" * 32)),
        replace(epoch, querier=LabId(b"x" * 32)),
        Epoch(epoch.querier, epoch.holder, "accounts", 1),
        replace(epoch, collection="prompts"),
        replace(epoch, number=2),
    ]
    engine = ENGINES["ristretto255"]
    assert len({epoch_keys(engine, SEED, e).public for e in epochs}) == len(epochs)
    assert len({proof_nonce(SEED, e, b"r" * 32) for e in epochs}) == len(epochs)


@given(exactly(32), exactly(32))
def test_a_nonce_serves_one_request(one: bytes, other: bytes) -> None:
    epoch = Epoch(LabId(b"h" * 32), LabId(b"q" * 32), "accounts", 1)
    nonces = [proof_nonce(SEED, epoch, request) for request in (one, other)]
    assert len(nonces[0]) == 64
    assert (nonces[0] == nonces[1]) == (one == other)
    assert proof_nonce(SEED[::-1], epoch, one) != nonces[0]


@pytest.mark.parametrize("choice", ["portable", "auto"])
@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda element: element[:31] + bytes([element[31] | 0x80]), id="highest bit"),
        pytest.param(lambda _element: bytes(32), id="identity"),
        pytest.param(lambda _element: b"\xff" * 32, id="no element"),
    ],
)
def test_a_verifier_refuses_blinded_elements_that_are_not_canonical(
    choice: str, spoilt: Callable[[bytes], bytes]
) -> None:
    """An auditor's file may have elements that no holder accepts, with a proof made for their bytes."""
    engine = load_engine(choice)
    keys = engine.derive_key_pair(SEED, b"")
    blinded = bytes(engine.blind(bytes(64), UNIFORM[:64] * 2)[1])
    evaluated, proof = engine.evaluate_and_prove(keys, blinded, UNIFORM[:64])
    engine.verify(keys.public, blinded, evaluated, proof)
    with pytest.raises(CryptoError) as caught:
        engine.verify(keys.public, blinded[:32] + spoilt(blinded[32:]), evaluated, proof)
    assert caught.value.code is Code.BAD_ELEMENT
