"""Rounds in both directions with the package `voprf`, an implementation of RFC 9497 in Rust by other authors.

Proofs have the RFC's seed here, and not the seed of SPEC 5.4, which `voprf` does not implement.
"""

import os

import pytest
from voprf import ristretto

from mandorla_protocol import oprf
from mandorla_protocol.dleq import rfc_seed
from mandorla_protocol.engine import OUTPUT_SIZE, split
from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.group.ristretto255 import Ristretto255
from mandorla_protocol.oprf import KeyPair, Mode

SEED, INFO = bytes(range(32)), b"mandorla interop"
ENGINE = PortableEngine(seed=rfc_seed)
COUNTS = [1, 2, 5, 64]


def our_keys(info: bytes = INFO) -> KeyPair:
    return ENGINE.derive_key_pair(SEED, info)


def their_server(info: bytes = INFO) -> ristretto.Evaluator:
    return ristretto.Evaluator.from_seed(SEED, info)


def tokens(count: int) -> list[bytes]:
    return [bytes([index]) * 32 for index in range(count)]


@pytest.mark.parametrize("info", [b"", INFO, bytes(1000)], ids=["empty", "some", "long"])
def test_both_derive_the_same_key(info: bytes) -> None:
    assert their_server(info).public_key.serialize() == our_keys(info).public


@pytest.mark.parametrize("value", [b"\x00", b"input", bytes(32), bytes(1000)], ids=["1", "5", "32", "1000"])
def test_both_evaluate_an_input_to_the_same_output(value: bytes) -> None:
    ours = oprf.evaluate(Ristretto255(), Mode.VOPRF, our_keys().secret, value)
    assert their_server().evaluate_known_input(value) == ours


def their_key(keys: KeyPair) -> ristretto.PublicKey:
    return ristretto.PublicKey.deserialize(keys.public)


class OurServer:
    """Our server, answering their client."""

    def __init__(self, values: list[bytes], info: bytes = INFO) -> None:
        self.keys = our_keys(info)
        self._clients, inputs = zip(*map(ristretto.Client.blind, values), strict=True)
        blinded = b"".join(item.serialize() for item in inputs)
        evaluated, proof = ENGINE.evaluate_and_prove(self.keys, blinded, os.urandom(64))
        self.answer = proof + evaluated  # the package writes them in this order

    def finalize(self, answer: bytes, keys: KeyPair) -> bytes:
        outputs = ristretto.VerifiableBatchOutput.deserialize(answer)
        return b"".join(ristretto.Client.finalize_batch(self._clients, outputs, their_key(keys)))


class TheirServer:
    """Their server, answering our client."""

    def __init__(self, values: list[bytes], info: bytes = INFO) -> None:
        self.server = their_server(info)
        self._tokens = b"".join(values)
        self._blinds, self._blinded = ENGINE.blind(self._tokens, os.urandom(64 * len(values)))
        inputs = [ristretto.BlindedInput.deserialize(element) for element in split(self._blinded, 32)]
        self.answer = self.server.evaluate_batch(inputs).serialize()

    def finalize(self, answer: bytes, keys: KeyPair) -> bytes:
        proof, evaluated = answer[:64], answer[64:]
        return ENGINE.verify_and_finalize(
            keys.public, self._tokens, self._blinds, self._blinded, evaluated, proof
        )


@pytest.mark.parametrize("count", COUNTS)
def test_their_client_gets_its_outputs_from_our_server(count: int) -> None:
    ours = OurServer(tokens(count))
    assert ours.finalize(ours.answer, ours.keys) == ENGINE.evaluate(ours.keys, b"".join(tokens(count)))


@pytest.mark.parametrize("count", COUNTS)
def test_our_client_gets_its_outputs_from_their_server(count: int) -> None:
    theirs = TheirServer(tokens(count))
    outputs = theirs.finalize(theirs.answer, our_keys())
    assert list(split(outputs, OUTPUT_SIZE)) == [
        theirs.server.evaluate_known_input(token) for token in tokens(count)
    ]


def test_single_answers_pass_both_ways() -> None:
    keys, (value,) = our_keys(), tokens(1)
    client, blinded = ristretto.Client.blind(value)
    evaluated, proof = ENGINE.evaluate_and_prove(keys, blinded.serialize(), os.urandom(64))
    output = client.finalize(ristretto.VerifiableOutput.deserialize(proof + evaluated), their_key(keys))
    assert output == ENGINE.evaluate(keys, value)

    blinds, own = ENGINE.blind(value, os.urandom(64))
    answer = their_server().evaluate(ristretto.BlindedInput.deserialize(own)).serialize()
    assert ENGINE.verify_and_finalize(keys.public, value, blinds, own, answer[64:], answer[:64]) == output


def assert_refused(exchange: OurServer | TheirServer, answer: bytes) -> None:
    """Assert that the package refuses.

    It panics on a bad batch; the exception is not a subclass of Exception.
    """
    refusal = CryptoError if isinstance(exchange, TheirServer) else BaseException
    with pytest.raises(refusal, match=r"ProofVerification|invalid|does not verify|not a canonical"):
        exchange.finalize(answer, our_keys())


@pytest.mark.parametrize("kind", [OurServer, TheirServer])
@pytest.mark.parametrize("position", [0, 32, 64, 96, 128])
def test_both_refuse_each_others_altered_answer(kind: type[OurServer | TheirServer], position: int) -> None:
    """Change one bit in the challenge, in the response and in each evaluated element."""
    exchange = kind(tokens(3))
    answer = exchange.answer
    assert exchange.finalize(answer, our_keys())
    altered = answer[:position] + bytes([answer[position] ^ 2]) + answer[position + 1 :]
    assert_refused(exchange, altered)


@pytest.mark.parametrize("kind", [OurServer, TheirServer])
def test_both_refuse_an_answer_under_another_key(kind: type[OurServer | TheirServer]) -> None:
    exchange = kind(tokens(2), b"other")
    assert exchange.finalize(exchange.answer, our_keys(b"other"))
    assert_refused(exchange, exchange.answer)


@pytest.mark.parametrize("kind", [OurServer, TheirServer])
def test_both_refuse_pairs_in_another_order(kind: type[OurServer | TheirServer]) -> None:
    exchange = kind(tokens(2))
    answer = exchange.answer
    assert_refused(exchange, answer[:64] + answer[96:] + answer[64:96])


GENERATOR = Ristretto255.generator


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(bytes(32), id="identity"),
        pytest.param(bytes(31) + b"\x80", id="identity with the highest bit"),
        pytest.param(GENERATOR[:31] + bytes([GENERATOR[31] | 0x80]), id="generator with the highest bit"),
        pytest.param(b"\xff" * 31 + b"\x7f", id="not canonical"),
        pytest.param(b"\x01" + bytes(31), id="negative"),
    ],
)
def test_both_refuse_the_same_elements(encoded: bytes) -> None:
    with pytest.raises(CryptoError) as caught:
        ENGINE.decode_elements(encoded)
    assert caught.value.code is Code.BAD_ELEMENT
    with pytest.raises(ValueError, match=r"."):
        ristretto.BlindedInput.deserialize(encoded)
