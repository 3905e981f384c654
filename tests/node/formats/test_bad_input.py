"""What hostile and broken files do to every reader: a typed error or a rejected row, in bounded memory."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mandorla_node.formats import Format, IngestRow, RejectedRow, RowDefaults, read_rows
from mandorla_node.formats.compression import MAX_RATIO, decompressed
from mandorla_node.formats.json_stream import MAX_DEPTH, MAX_TEXT, End, Path, Piece, stream
from mandorla_protocol.errors import Code, InputError
from tests.node.formats.readers import named, read, rejected

DOMAINS = RowDefaults("domain")
# A process for each example would take the whole time; test_parquet has its hostile files.
READ_HERE = [one for one in Format if one is not Format.PARQUET]
KEYS = [
    *(
        "type",
        "value",
        "pattern",
        "objects",
        "Event",
        "Attribute",
        "Object",
        "Tag",
        "name",
        "to_ids",
        "response",
    ),
    *("indicator_types", "extensions", "object_marking_refs", "confidence", "revoked", "deleted", "modified"),
]
DOCUMENTS = [Format.JSON, Format.STIX, Format.MISP]


class Fake:
    """A source that makes up its content and holds none of it."""

    def __init__(self, *chunks: Iterator[bytes]) -> None:
        self._chunks = chain(*chunks)

    def read(self, size: int, /) -> bytes:
        return next(self._chunks, b"")


def endless(chunk: bytes, gigabytes: int = 1) -> Iterator[bytes]:
    return repeat(chunk, gigabytes * (1 << 30) // len(chunk))


def outcome(source: Fake | io.BytesIO, written_as: Format) -> list[IngestRow | RejectedRow] | Code:
    try:
        return list(read_rows(source, written_as, DOMAINS))
    except InputError as error:
        return error.code


class TestAnyBytes:
    @pytest.mark.parametrize("written_as", READ_HERE)
    @given(content=st.binary(max_size=300))
    def test_give_rows_or_a_typed_error(self, written_as: Format, content: bytes) -> None:
        outcome(io.BytesIO(content), written_as)

    @pytest.mark.parametrize("written_as", READ_HERE)
    @given(content=st.binary(max_size=100))
    def test_so_do_any_bytes_that_are_compressed(self, written_as: Format, content: bytes) -> None:
        outcome(io.BytesIO(gzip.compress(content, 1)), written_as)
        outcome(io.BytesIO(b"\x1f\x8b" + content), written_as)

    @settings(max_examples=4, deadline=None)
    @given(content=st.binary(max_size=300))
    def test_parquet_too(self, content: bytes) -> None:
        outcome(io.BytesIO(b"PAR1" + content + b"PAR1"), Format.PARQUET)

    @pytest.mark.parametrize("written_as", DOCUMENTS)
    @given(
        content=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(KEYS),
                    inner | st.sampled_from(["bundle", "indicator", "domain", "[domain-name:value = 'a']"]),
                    max_size=6,
                )
            ),
            max_leaves=30,
        )
    )
    def test_so_does_any_json_of_nearly_the_right_shape(self, written_as: Format, content: object) -> None:
        for whole in (
            content,
            {"type": "bundle", "objects": content},
            {"type": "bundle", "objects": [content]},
            {"Event": content},
            {"Event": {"Attribute": [content], "Object": [content]}},
            {"response": content},
        ):
            outcome(io.BytesIO(json.dumps(whole).encode()), written_as)


class TestJson:
    @staticmethod
    def pieces(content: bytes, *paths: Path) -> list[Piece | End]:
        return list(stream(io.BytesIO(content), lambda path: path in paths))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_what_is_put_together_is_what_was_written(self, value: object) -> None:
        for ascii_only in (True, False):
            raw = json.dumps([value], ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
            (piece,) = self.pieces(raw, ("*",))
            assert isinstance(piece, Piece)
            assert piece.value == value

    @pytest.mark.parametrize(
        "content",
        [
            b"{} {}",
            b'{"a": 1',
            b'{"a": NaN}',
            b'{"a": 1e999}',
            b'{"a": ' + b"9" * 50 + b"}",
            b'{"a": "\xff"}',
            b'{"a": "\x00"}',
            b'{"a": 1, "a": 2}',
            b"[" * (MAX_DEPTH + 1),
            b'{"a":' * (MAX_DEPTH + 1),
            '{"a": 1}'.encode("utf-16"),
            b"<html>",
        ],
    )
    def test_what_is_no_strict_json_is_refused_and_not_shown(self, content: bytes) -> None:
        with pytest.raises(InputError) as caught:
            self.pieces(content)
        assert caught.value.code is Code.BAD_FILE
        assert caught.value.__context__ is None or "a" not in str(caught.value.__context__)

    def test_depth_counts_inside_pieces_too(self) -> None:
        fits = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
        assert self.pieces(fits, ("a",))
        with pytest.raises(InputError):
            self.pieces(fits.replace(b"[", b"[[", 1).replace(b"]", b"]]", 1), ("a",))

    @pytest.mark.parametrize("written_as", DOCUMENTS)
    @pytest.mark.parametrize(
        "start", [b'{"type": "bundle", "objects": ["', b'{"Event": {"Attribute": ["', b""]
    )
    @pytest.mark.parametrize("chunk", [b"x" * (1 << 16), b" " * (1 << 16), b"[" * (1 << 16)])
    def test_a_gigabyte_of_one_thing_is_not_held(
        self, written_as: Format, start: bytes, chunk: bytes
    ) -> None:
        tracemalloc.start()
        try:
            assert outcome(Fake(iter([start]), endless(chunk)), written_as) is Code.BAD_FILE
            assert tracemalloc.get_traced_memory()[1] < 24 * MAX_TEXT
        finally:
            tracemalloc.stop()

    def test_a_bundle_without_end_is_read_in_the_memory_of_an_object(self) -> None:
        thing = b'{"type": "indicator", "pattern": "[domain-name:value = \'a.example\']"},'
        source = Fake(iter([b'{"type": "bundle", "objects": [']), repeat(thing * 200))
        rows = read_rows(source, Format.STIX, RowDefaults())
        tracemalloc.start()
        try:
            for _ in range(5_000):
                assert isinstance(next(rows), IngestRow)
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("written_as", [Format.PLAIN, Format.CSV, Format.JSONL])
def test_a_line_of_a_gigabyte_is_not_held(written_as: Format) -> None:
    tracemalloc.start()
    try:
        found = outcome(
            Fake(iter([b"value\n"]), endless(b"x" * (1 << 16)), iter([b"\na.example\n"])), written_as
        )
        assert isinstance(found, list)
        assert 2 in rejected(found)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


class TestCompressed:
    @given(st.lists(st.binary(), max_size=4), st.integers(1, 70_000))
    def test_members_are_joined(self, members: list[bytes], size: int) -> None:
        packed = b"".join(map(gzip.compress, members))
        source = decompressed(io.BytesIO(packed))
        content = b""
        while chunk := source.read(size):
            assert len(chunk) <= size
            content += chunk
        assert content == b"".join(members)

    def test_every_format_may_be_compressed(self) -> None:
        bundle = {"type": "bundle", "objects": [{"type": "x"}]}
        assert named(read(gzip.compress(b"a.example\n"), Format.PLAIN, DOMAINS)) == [
            (1, "domain", "a.example")
        ]
        assert rejected(read(gzip.compress(json.dumps(bundle).encode()), Format.JSON)) == [1]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda packed: packed[:-1],
            lambda packed: packed[:-9],
            lambda packed: packed[:12],
            lambda packed: packed[:2],
            lambda packed: packed + b"trailing",
            lambda packed: packed[:-8] + b"\x00" * 8,
            lambda packed: packed[:10] + b"\xff" * 20,
        ],
    )
    def test_damage_is_an_error(self, damage: object) -> None:
        assert callable(damage)
        packed = damage(gzip.compress(b"a.example\n" * 50))
        assert outcome(io.BytesIO(packed), Format.PLAIN) is Code.BAD_FILE

    @pytest.mark.parametrize("written_as", READ_HERE)
    def test_a_bomb_is_an_error_in_bounded_memory(self, written_as: Format) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
        assert len(bomb) * MAX_RATIO < 64 << 20
        tracemalloc.start()
        try:
            assert outcome(io.BytesIO(bomb), written_as) is Code.BAD_FILE
            assert tracemalloc.get_traced_memory()[1] < 24 << 20
        finally:
            tracemalloc.stop()
