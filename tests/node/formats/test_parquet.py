"""Parquet: what is read of it, and that hostile files cost an error and no more."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mandorla_node.formats import Format, IngestRow, RowDefaults, parquet_reader, read_rows
from mandorla_node.formats.parquet_child import StopError, columns_of
from mandorla_node.formats.parquet_writer import write_parquet
from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.labels import Label, Reason, Severity, Tlp
from tests.node.formats.readers import match, named, read, rejected

DOMAINS = RowDefaults("domain")


def packed(columns: dict[str, object], compression: str = "snappy", plain: bool = False) -> bytes:
    """Write Parquet; plain, it has no dictionaries and statistics, which take seconds for a huge value."""
    target = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        target,
        compression=compression,
        use_dictionary=not plain,
        write_statistics=not plain,
    )
    return target.getvalue()


def refused(content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(content, Format.PARQUET, DOMAINS)
    assert caught.value.code is Code.BAD_FILE
    return caught.value.detail


def test_columns_are_read_by_name_and_rows_numbered(tmp_path: Path) -> None:
    content = packed(
        {
            "note": [[1], [2], [3], [4]],
            "Value": pa.array(["a.example", "b.example", None, "d.example"]).dictionary_encode(),
            "confidence": pa.array([80, None, 1, 300], pa.uint16()),
            "first seen": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None, None, None]),
            "expires": [date(2030, 1, 1), None, None, None],
            "severity": ["high", None, None, None],
        }
    )
    path = tmp_path / "list.parquet"
    path.write_bytes(content)
    with path.open("rb") as file:
        from_file = list(read_rows(file, Format.PARQUET, DOMAINS))
    rows = read(content, Format.PARQUET, DOMAINS)
    assert rows == from_file
    assert named(rows) == [(1, "domain", "a.example"), (2, "domain", "b.example")]
    assert rejected(rows) == [3, 4]
    assert isinstance(rows[0], IngestRow)
    assert rows[0].label == Label(
        severity=Severity.HIGH, confidence=80, first_seen=1_767_225_600, expires=1_893_456_000
    )


def test_a_text_that_is_not_utf8_costs_its_row() -> None:
    texts = pa.array([b"a.example", b"sentinel\xff", b"c.example"]).cast(pa.string(), safe=False)
    rows = read(packed({"value": texts}), Format.PARQUET, DOMAINS)
    assert (rejected(rows), len(named(rows))) == ([2], 2)
    assert "sentinel" not in repr(rows)


@pytest.mark.parametrize(
    "columns",
    [
        {"name": ["a.example"]},
        {"value": [1]},
        {"value": [b"a.example"]},
        {"value": [["a.example"]]},
        {"value": [{"x": "a.example"}]},
        {"value": ["a.example"], "Value": ["b.example"]},
        {"value": ["a.example"], "confidence": [0.5]},
        {"value": ["a.example"], "tlp": [True]},
        {"value": ["a.example"], "expires": [[1]]},
    ],
)
def test_columns_of_other_types_are_refused(columns: dict[str, object]) -> None:
    with pytest.raises(StopError) as caught:
        columns_of(pa.table(columns).schema)
    assert caught.value.args == (parquet_reader.BAD_COLUMNS,)


def test_the_reader_says_which_columns_it_wants() -> None:
    assert "`value`" in refused(packed({"name": ["a.example"]}))


class TestHostileFiles:
    @pytest.mark.parametrize(
        "content", [b"", b"PAR1", b"PAR1" * 8, b"x" * 5_000, b"PAR1\xff\xff\xff\x7fPAR1"]
    )
    def test_what_is_no_parquet_is_refused(self, content: bytes) -> None:
        refused(content)

    @pytest.mark.parametrize("cut", [1, 4, 40, 300])
    def test_a_cut_file_is_refused(self, cut: int) -> None:
        refused(packed({"value": ["a.example"] * 100})[:-cut])

    def test_a_damaged_page_is_refused(self) -> None:
        content = bytearray(packed({"value": [f"{n}.example" for n in range(5_000)]}, "zstd"))
        content[40:400] = bytes(360)
        refused(bytes(content))

    def test_a_page_that_expands_without_end_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parquet_reader, "MEMORY", 768 << 20)
        assert named(read(packed({"value": ["a.example"]}), Format.PARQUET, DOMAINS))
        content = packed({"value": ["x" * (256 << 20)]}, "zstd", plain=True)
        assert len(content) < 50_000
        assert "memory" in refused(content)

    def test_a_value_that_is_too_long_costs_its_row(self) -> None:
        rows = read(packed({"value": ["x" * 100_000, "a.example"]}), Format.PARQUET, DOMAINS)
        assert (rejected(rows), len(named(rows))) == ([1], 1)

    def test_more_rows_than_a_file_of_the_size_holds_are_refused(self) -> None:
        target = io.BytesIO()
        repeated = pa.array(["a.example"]).dictionary_encode()
        column = pa.DictionaryArray.from_arrays(pa.nulls(3_000_000, pa.int32()), repeated.dictionary)
        pq.write_table(pa.table({"value": column}), target)
        assert "rows" in refused(target.getvalue())

    def test_a_file_has_a_largest_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parquet_reader, "MAX_FILE", 100)
        assert "larger" in refused(packed({"value": ["a.example"] * 1_000}))

    def test_a_reader_that_stops_leaves_no_child(self) -> None:
        rows = read_rows(
            io.BytesIO(packed({"value": [f"{n}.example" for n in range(20_000)]})), Format.PARQUET, DOMAINS
        )
        assert isinstance(next(rows), IngestRow)
        del rows


def test_without_pyarrow_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_reader, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        read(b"", Format.PARQUET, DOMAINS)
    assert caught.value.code is Code.BAD_CONFIG
    assert "mandorla[parquet]" in caught.value.detail


def test_written_matches_read_back() -> None:
    label = Label(Reason.ABUSE, Severity.LOW, 1, 5, 1_900_000_000, Tlp.RED)
    target = io.BytesIO()
    write_parquet([match("domain", "a.example", label), match("ipv4", "198.51.100.7")], target)
    rows = read(target.getvalue(), Format.PARQUET)
    assert named(rows) == [(1, "domain", "a.example"), (2, "ipv4", "198.51.100.7")]
    assert isinstance(rows[0], IngestRow)
    assert rows[0].label == label
