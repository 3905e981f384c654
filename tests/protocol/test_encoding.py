"""The canonical encoding: one value, one encoding."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_protocol.encoding import Reader, Writer
from mandorla_protocol.epochs import Epoch
from mandorla_protocol.errors import Code, EncodingError
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.session.transcript import CloseStatement
from tests.protocol.alterations import assert_strict
from tests.protocol.strategies import CLOSES, EPOCHS, FRONTIERS, HEADERS, exactly, texts, uints

DOMAIN = "mandorla/v1 test"

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "uint1": uints(1),
    "uint8": uints(8),
    "fixed": exactly(4),
    "data": st.binary(max_size=8),
    "text": texts(8),
    "sequence": st.lists(st.binary(max_size=3), max_size=3).map(tuple),
}
SCHEMAS = st.lists(st.sampled_from(sorted(FIELDS)), max_size=5)


def write(schema: list[str], values: list[Any], domain: str = DOMAIN) -> bytes:
    writer = Writer(domain)
    for kind, value in zip(schema, values, strict=True):
        match kind:
            case "uint1" | "uint8":
                writer.uint(value, int(kind[4:]))
            case "fixed":
                writer.fixed(value, 4)
            case "data":
                writer.data(value)
            case "text":
                writer.text(value)
            case "sequence":
                writer.sequence(value, lambda w, item: w.data(item))
    return writer.finish()


def read(schema: list[str], encoded: bytes) -> list[Any]:
    reader = Reader(encoded, DOMAIN)
    readers = {
        "uint1": lambda: reader.uint(1),
        "uint8": lambda: reader.uint(8),
        "fixed": lambda: reader.fixed(4),
        "data": lambda: reader.data(8),
        "text": lambda: reader.text(8),
        "sequence": lambda: reader.sequence(lambda r: r.data(3), 3),
    }
    values = [readers[kind]() for kind in schema]
    reader.finish()
    return values


@given(st.data())
def test_a_structure_decodes_to_what_was_encoded_and_shares_its_encoding_with_no_other(data: Any) -> None:
    schema = data.draw(SCHEMAS)
    values, others = (data.draw(st.tuples(*(FIELDS[kind] for kind in schema))) for _ in range(2))
    encoded = write(schema, list(values))
    assert read(schema, encoded) == list(values)
    assert (write(schema, list(others)) == encoded) == (others == values)


@pytest.mark.spec("3.1-1")
@given(SCHEMAS, st.binary(max_size=40))
def test_bytes_from_anywhere_are_refused_or_are_a_values_only_encoding(
    schema: list[str], tail: bytes
) -> None:
    encoded = Writer(DOMAIN).finish() + tail
    try:
        values = read(schema, encoded)
    except EncodingError:
        return
    assert write(schema, values) == encoded


@given(st.tuples(texts(8), texts(8)), st.tuples(texts(8), texts(8)))
def test_bytes_do_not_move_from_one_field_to_the_next(left: tuple[str, str], right: tuple[str, str]) -> None:
    encodings = [write(["text", "text"], list(pair)) for pair in (left, right)]
    assert (encodings[0] == encodings[1]) == (left == right)


@given(texts(12), texts(12), st.binary(max_size=12))
def test_a_structure_is_not_taken_for_one_of_another_domain(domain: str, other: str, content: bytes) -> None:
    encoded = Writer(domain).data(content).finish()
    if domain == other:
        assert Reader(encoded, other).data() == content
    else:
        with pytest.raises(EncodingError):
            Reader(encoded, other)


def test_the_encoding_of_a_structure_to_the_byte() -> None:
    writer = Writer("d").uint(258, 3).fixed(b"ab", 2).data(b"c").text("é")
    encoded = writer.sequence([1, 2], lambda w, value: w.uint(value, 1)).finish()
    assert encoded == (
        b"\x00\x00\x00\x01d\x00\x01\x02ab\x00\x00\x00\x01c\x00\x00\x00\x02\xc3\xa9\x00\x00\x00\x02\x01\x02"
    )


@pytest.mark.spec("3.1-2")
@pytest.mark.parametrize(("value", "width"), [(-1, 1), (256, 1), (2**64, 8)])
def test_an_integer_that_does_not_fit_is_not_written(value: int, width: int) -> None:
    with pytest.raises(EncodingError) as caught:
        Writer(DOMAIN).uint(value, width)
    assert caught.value.code is Code.BAD_ENCODING


@pytest.mark.spec("3.1-2")
@pytest.mark.parametrize("value", [b"", b"abc", b"abcde"])
def test_a_fixed_field_of_another_size_is_not_written(value: bytes) -> None:
    with pytest.raises(EncodingError) as caught:
        Writer(DOMAIN).fixed(value, 4)
    assert caught.value.code is Code.BAD_LENGTH


@pytest.mark.spec("3.1-2")
def test_a_lone_surrogate_is_not_written() -> None:
    with pytest.raises(EncodingError) as caught:
        Writer(DOMAIN).text("\ud800")
    assert caught.value.code is Code.BAD_ENCODING


@pytest.mark.spec("3.1-1")
@pytest.mark.parametrize("content", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_a_text_that_is_not_strict_utf8_is_refused(content: bytes) -> None:
    with pytest.raises(EncodingError) as caught:
        Reader(Writer(DOMAIN).data(content).finish(), DOMAIN).text()
    assert caught.value.code is Code.BAD_ENCODING


@pytest.mark.spec("3.1-1")
def test_limits_are_checked_before_anything_is_read() -> None:
    reader = Reader(Writer(DOMAIN).uint(2**32 - 1, 4).finish(), DOMAIN)
    with pytest.raises(EncodingError) as caught:
        reader.data(max_length=16)
    assert caught.value.code is Code.BAD_LENGTH
    reader = Reader(Writer(DOMAIN).uint(2**32 - 1, 4).finish(), DOMAIN)
    with pytest.raises(EncodingError):
        reader.sequence(lambda r: r.fixed(0), max_count=1000)


@given(EPOCHS)
def test_epochs_have_one_encoding(epoch: Epoch) -> None:
    assert_strict(epoch, Epoch.decode)


@given(FRONTIERS)
def test_frontiers_have_one_encoding(frontier: Frontier) -> None:
    assert_strict(frontier, Frontier.decode)


@given(CLOSES)
def test_close_statements_have_one_encoding(statement: CloseStatement) -> None:
    assert_strict(statement, CloseStatement.decode)


@given(HEADERS)
def test_headers_have_one_encoding(header: RoundHeader) -> None:
    assert RoundHeader.decode(header.encode()) == header


@pytest.mark.spec("3.1-1")
@pytest.mark.parametrize("decode", [Epoch.decode, Frontier.decode, CloseStatement.decode, RoundHeader.decode])
@given(encoded=st.binary(max_size=200))
def test_noise_is_refused(decode: Any, encoded: bytes) -> None:
    with pytest.raises(EncodingError):
        decode(encoded)
