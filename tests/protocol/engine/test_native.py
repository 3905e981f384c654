"""The native engine returns the bytes and raises the errors of the portable engine, for any input."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mandorla_protocol.engine import Engine, split
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.errors import Code, InputError, MandorlaError
from mandorla_protocol.group import Element, Scalar
from mandorla_protocol.group.ristretto255 import Ristretto255
from mandorla_protocol.oprf import KeyPair
from tests.protocol.strategies import exactly

T = TypeVar("T")
PORTABLE = PortableEngine()
ENGINES = ("portable", "native")
ORDER = 2**252 + 27742317777372353535851937790883648493
UNIFORM = bytes(range(64))


def native(threads: int) -> Engine:
    try:
        return load_engine("native", threads)
    except InputError as missing:
        pytest.skip(missing.detail)


def outcome(work: Callable[[], T]) -> T | Code:
    try:
        return work()
    except MandorlaError as error:
        return error.code


def assert_same(work: Callable[[Engine], object]) -> None:
    expected = outcome(lambda: work(PORTABLE))
    for threads in (1, 2):
        engine = native(threads)
        assert outcome(partial(work, engine)) == expected


def spoilt(buffer: bytes) -> st.SearchStrategy[bytes]:
    """Draw a buffer that is whole, cut or too long, or has 32 bytes replaced."""
    bad = st.sampled_from(
        [bytes(32), bytes(31) + b"\x80", b"\xff" * 32, b"\x01" + bytes(31), ORDER.to_bytes(32, "little")]
    )

    def replace(index: int, value: bytes) -> bytes:
        return buffer[: 32 * index] + value + buffer[32 * (index + 1) :]

    def high_bit(index: int) -> bytes:
        place = 32 * index + 31
        return buffer[:place] + bytes([buffer[place] | 0x80]) + buffer[place + 1 :]

    indices = st.integers(0, len(buffer) // 32 - 1)
    return st.one_of(
        st.just(buffer),
        st.integers(0, len(buffer)).map(lambda size: buffer[:size]),
        st.sampled_from([buffer + b"\x00", buffer + buffer[:32]]),
        st.builds(replace, indices, bad | exactly(32)),
        indices.map(high_bit),
    )


KEYS = PORTABLE.derive_key_pair(bytes(32), b"native")
TOKENS = b"".join(bytes([index]) * 32 for index in range(3))
RANDOM = b"".join(bytes([index + 1]) * 64 for index in range(3))
BLINDS, BLINDED = PORTABLE.blind(TOKENS, RANDOM)
EVALUATED, PROOF = PORTABLE.evaluate_and_prove(KEYS, BLINDED, UNIFORM)


@settings(max_examples=60, deadline=None)
@given(spoilt(TOKENS), spoilt(RANDOM) | st.just(bytes(192)))
def test_blinding_is_the_same(tokens: bytes, uniform: bytes) -> None:
    assert_same(lambda engine: [bytes(part) for part in engine.blind(tokens, uniform)])


@settings(max_examples=60, deadline=None)
@given(spoilt(BLINDED), st.sampled_from([UNIFORM, bytes(64), b"", bytes(63)]))
def test_evaluation_with_its_proof_is_the_same(blinded: bytes, nonce: bytes) -> None:
    assert_same(lambda engine: engine.evaluate_and_prove(KEYS, blinded, nonce))
    assert_same(lambda engine: bytes(engine.decode_elements(blinded)))
    assert_same(lambda engine: engine.evaluate_and_prove(KEYS, engine.decode_elements(blinded), nonce))


@settings(max_examples=60, deadline=None)
@given(spoilt(BLINDED), spoilt(EVALUATED))
def test_what_was_decoded_is_verified_as_its_encoding_is(blinded: bytes, evaluated: bytes) -> None:
    def unblinded(engine: Engine) -> bytes:
        own = engine.decode_elements(blinded)
        return engine.verify_and_finalize(KEYS.public, TOKENS, BLINDS, own, evaluated, PROOF)

    assert_same(unblinded)


def test_an_engine_takes_what_another_has_decoded() -> None:
    for one, other in ((native(1), PORTABLE), (PORTABLE, native(1))):
        decoded = one.decode_elements(BLINDED)
        assert other.evaluate_and_prove(KEYS, decoded, UNIFORM) == (EVALUATED, PROOF)


NOT_SCALARS = [bytes(32), bytes(31) + b"\x80", b"\xff" * 32, b"", bytes(31), bytes(33)]
NOT_SCALARS += [(factor * ORDER + rest).to_bytes(32, "little") for factor in (1, 2, 15) for rest in (0, 1)]


@pytest.mark.spec("5.1-2")
@pytest.mark.parametrize("bad", NOT_SCALARS, ids=bytes.hex)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_key_or_a_blind_that_is_zero_or_no_scalar_is_refused(engine: str, bad: bytes) -> None:
    subject = PORTABLE if engine == "portable" else native(1)
    keys = KeyPair(Scalar(bad), KEYS.public)
    works: list[Callable[[], object]] = [
        lambda: subject.evaluate(keys, TOKENS),
        lambda: subject.evaluate_and_prove(keys, BLINDED, UNIFORM),
    ]
    if len(bad) == 32:
        blinds = BLINDS[:32] + bad + BLINDS[64:]
        works.append(
            lambda: subject.verify_and_finalize(KEYS.public, TOKENS, blinds, BLINDED, EVALUATED, PROOF)
        )
    for work in works:
        assert outcome(work) is Code.BAD_SCALAR


@pytest.mark.spec("5.1-1")
@pytest.mark.parametrize("public_key", [bytes(32), b"\xff" * 32, b"", bytes(70_000)], ids=len)
def test_a_key_pair_whose_public_key_is_no_element_is_refused(public_key: bytes) -> None:
    keys = KeyPair(KEYS.secret, Element(public_key))
    assert outcome(lambda: PORTABLE.evaluate_and_prove(keys, BLINDED, UNIFORM)) is Code.BAD_ELEMENT
    assert_same(lambda engine: engine.evaluate_and_prove(keys, BLINDED, UNIFORM))


@settings(max_examples=60, deadline=None)
@given(spoilt(TOKENS))
def test_evaluation_of_own_tokens_is_the_same(tokens: bytes) -> None:
    assert_same(lambda engine: engine.evaluate(KEYS, tokens))


FIELDS = (KEYS.public, TOKENS, BLINDS, BLINDED, EVALUATED, PROOF)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_finalisation_is_the_same_whatever_is_wrong(data: st.DataObject) -> None:
    fields = list(FIELDS)
    for place in data.draw(st.sets(st.integers(0, 5), max_size=3)):
        fields[place] = data.draw(spoilt(fields[place]))
    public_key, *rest = fields
    assert_same(lambda engine: engine.verify_and_finalize(Element(public_key), *rest))
    assert_same(lambda engine: engine.verify(Element(public_key), *rest[2:]))


@pytest.mark.parametrize("engine", ENGINES)
def test_anyone_can_verify_what_was_evaluated(engine: str) -> None:
    subject = PORTABLE if engine == "portable" else native(1)
    subject.verify(KEYS.public, BLINDED, EVALUATED, PROOF)
    swapped = EVALUATED[32:64] + EVALUATED[:32] + EVALUATED[64:]
    assert outcome(lambda: subject.verify(KEYS.public, BLINDED, swapped, PROOF)) is Code.BAD_PROOF
    assert outcome(lambda: subject.verify(KEYS.public, EVALUATED, BLINDED, PROOF)) is Code.BAD_PROOF
    assert outcome(lambda: subject.verify(KEYS.public, BLINDED[:64], EVALUATED, PROOF)) is Code.BAD_LENGTH


def test_the_identity_is_unblinded_like_any_element() -> None:
    group = Ristretto255()
    masks = b"".join(group.multiply_generator(Scalar(blind)) for blind in split(BLINDS, 32))
    evaluated, proof = PORTABLE.evaluate_and_prove(KEYS, masks, UNIFORM)

    def finalize(engine: Engine) -> bytes:
        return engine.verify_and_finalize(KEYS.public, TOKENS, BLINDS, masks, evaluated, proof)

    assert len(finalize(PORTABLE)) == 64 * len(TOKENS) // 32
    assert_same(finalize)


@pytest.mark.parametrize("count", [1, 63, 64, 65])
def test_a_table_of_the_public_key_changes_no_byte(count: int) -> None:
    tokens = b"".join(index.to_bytes(32, "big") for index in range(count))
    blinds, blinded = PORTABLE.blind(tokens, UNIFORM * count)
    evaluated, proof = native(2).evaluate_and_prove(KEYS, blinded, UNIFORM)
    assert_same(
        lambda engine: engine.verify_and_finalize(KEYS.public, tokens, blinds, blinded, evaluated, proof)
    )


def test_batches_of_several_blocks_are_the_same() -> None:
    tokens = b"".join(index.to_bytes(32, "big") for index in range(600))
    engine = native(2)
    blinds, blinded = engine.blind(tokens, UNIFORM * 600)
    assert (blinds, bytes(blinded)) == PORTABLE.blind(tokens, UNIFORM * 600)
    evaluated, proof = engine.evaluate_and_prove(KEYS, blinded, UNIFORM)
    assert (evaluated, proof) == PORTABLE.evaluate_and_prove(KEYS, blinded, UNIFORM)
    outputs = engine.verify_and_finalize(KEYS.public, tokens, blinds, blinded, evaluated, proof)
    assert outputs == PORTABLE.evaluate(KEYS, tokens)
    assert len(set(split(outputs, 64))) == 600


def test_without_the_extension_auto_is_portable_and_native_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mandorla_protocol.engine.native", None)
    assert load_engine("auto").name == "portable"
    with pytest.raises(InputError) as caught:
        load_engine("native")
    assert caught.value.code is Code.BAD_CONFIG
    assert "cargo" in caught.value.detail


def test_the_portable_run_of_these_tests_has_no_extension() -> None:
    """`make test` runs the tests of the engine again, with `tests/support/portable` on Python's path."""
    program = (
        "from mandorla_protocol import native_extension\n"
        "from mandorla_protocol.engine.loader import load_engine\n"
        "print(native_extension.BUILT, load_engine('auto').name)"
    )
    folder = Path(__file__).parents[2] / "support" / "portable"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["False", "portable"]
