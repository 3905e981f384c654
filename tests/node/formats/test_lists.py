"""Reading lists: what is taken, what is refused, and under which line number."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.formats import Format, IngestRow, RejectedRow, RowDefaults, format_of, read_rows
from mandorla_node.formats.csv_reader import MAX_RECORD_LINES
from mandorla_node.formats.lines import MAX_LINE
from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.labels import Label, Reason, Severity, Tlp

DOMAINS = RowDefaults(type="mail-domain")


def read(
    content: bytes, written_as: Format, defaults: RowDefaults = DOMAINS
) -> list[IngestRow | RejectedRow]:
    return list(read_rows(io.BytesIO(content), written_as, defaults))


def values(rows: list[IngestRow | RejectedRow]) -> list[tuple[int, str]]:
    return [(row.line, row.value) for row in rows if isinstance(row, IngestRow)]


def bad_lines(rows: list[IngestRow | RejectedRow]) -> list[int]:
    return [row.line for row in rows if isinstance(row, RejectedRow)]


class TestFormatOf:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("list.txt", Format.PLAIN),
            ("list", Format.PLAIN),
            ("-", Format.PLAIN),
            ("a.b/LIST.CSV", Format.CSV),
            ("x.jsonl", Format.JSONL),
            ("x.ndjson", Format.JSONL),
            ("x.json", Format.JSON),
            ("x.parquet", Format.PARQUET),
            ("x.stix", Format.STIX),
            ("x.misp", Format.MISP),
            ("x.csv.gz", Format.CSV),
            ("x.GZ", Format.PLAIN),
        ],
    )
    def test_goes_by_the_extension(self, name: str, expected: Format) -> None:
        assert format_of(name) is expected

    def test_refuses_an_extension_that_says_something_else(self) -> None:
        with pytest.raises(InputError) as caught:
            format_of("feed.zip")
        assert caught.value.code is Code.BAD_INPUT
        assert "--format" in caught.value.detail


class TestPlain:
    def test_skips_empty_lines_and_comments_and_counts_them(self) -> None:
        rows = read(b"# list\n\na.example\n  \n  b.example \n#c.example\nd.example", Format.PLAIN)
        assert values(rows) == [(3, "a.example"), (5, "b.example"), (7, "d.example")]

    def test_takes_byte_order_mark_and_crlf(self) -> None:
        assert values(read(b"\xef\xbb\xbfa.example\r\nb.example\r\n", Format.PLAIN)) == [
            (1, "a.example"),
            (2, "b.example"),
        ]

    def test_needs_a_type(self) -> None:
        with pytest.raises(InputError) as caught:
            read(b"a.example\n", Format.PLAIN, RowDefaults())
        assert caught.value.code is Code.BAD_INPUT

    def test_gives_every_row_the_default_label(self) -> None:
        label = Label(reason=Reason.ABUSE)
        (row,) = read(b"a.example\n", Format.PLAIN, RowDefaults("mail-domain", label))
        assert isinstance(row, IngestRow)
        assert row.label == label

    def test_takes_the_group_that_was_given(self) -> None:
        (row,) = read(b"aa\n", Format.PLAIN, RowDefaults("prompt-template", group="t1"))
        assert isinstance(row, IngestRow)
        assert row.group == "t1"


@pytest.mark.parametrize("written_as", [Format.PLAIN, Format.CSV, Format.JSONL])
class TestEveryFormatOfLines:
    @staticmethod
    def lines(written_as: Format, *lines: bytes) -> tuple[bytes, int]:
        """Return a file with the lines, and the number of lines in front of them."""
        header = b"value\n" if written_as is Format.CSV else b""
        return header + b"".join(line + b"\n" for line in lines), len(header) and 1

    @staticmethod
    def good(written_as: Format) -> bytes:
        return b'{"value": "ok.example"}' if written_as is Format.JSONL else b"ok.example"

    @pytest.mark.parametrize("bad", [b"caf\xe9.example", b"a\x00b.example", b"x" * (MAX_LINE + 1)])
    def test_rejects_a_bad_line_and_goes_on(self, written_as: Format, bad: bytes) -> None:
        good = self.good(written_as)
        content, before = self.lines(written_as, good, bad, good)
        rows = read(content, written_as)
        assert values(rows) == [(before + 1, "ok.example"), (before + 3, "ok.example")]
        assert bad_lines(rows) == [before + 2]

    def test_never_shows_content(self, written_as: Format) -> None:
        content, _ = self.lines(
            written_as,
            b"sentinel\xff",
            b'{"value": sentinel}',
            b'"sentinel',
            b'sen"tinel,sentinel',
            b'{"value": "v.example", "reason": "sentinel"}',
            b'{"value": "sentinel", "value": "sentinel"}',
        )
        assert "sentinel" not in repr(read(content, written_as))

    def test_refuses_utf16(self, written_as: Format) -> None:
        with pytest.raises(InputError) as caught:
            read("value\na.example\n".encode("utf-16"), written_as)
        assert caught.value.code is Code.BAD_FILE

    def test_an_empty_file_has_no_rows(self, written_as: Format) -> None:
        assert read(b"", written_as) == []

    @given(content=st.binary(max_size=400))
    def test_any_bytes_give_rows_or_a_typed_error(self, written_as: Format, content: bytes) -> None:
        try:
            rows = read(content, written_as)
        except InputError:
            return
        lines = [row.line for row in rows]
        assert lines == sorted(set(lines))


class TestMemory:
    def test_a_line_without_end_is_not_held(self) -> None:
        class Endless:
            left = 64 << 20

            def read(self, size: int, /) -> bytes:
                take = min(size, self.left)
                self.left -= take
                return b"x" * take

        tracemalloc.start()
        rows = list(read_rows(Endless(), Format.PLAIN, DOMAINS))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert bad_lines(rows) == [1]
        assert peak < 2 << 20

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
    @pytest.mark.parametrize("before", [0, 1, 65_535, 65_536])
    def test_the_longest_line_fits_wherever_it_falls(self, end: bytes, before: int) -> None:
        content = b"#" * before + b"\n" + b"x" * MAX_LINE + end
        assert values(read(content, Format.PLAIN)) == [(2, "x" * MAX_LINE)]


class TestCsv:
    def test_reads_columns_by_name_in_any_order(self) -> None:
        content = (
            b"Note,Severity,VALUE,type,reason,confidence,expires,tlp\r\n"
            b"x,high,a.example,domain,payment-fraud,90,2030-01-01,amber+strict\r\n"
            b",,b.example,,,,,\r\n"
        )
        first, second = read(content, Format.CSV)
        assert first == IngestRow(
            2,
            "domain",
            "a.example",
            Label(Reason.PAYMENT_FRAUD, Severity.HIGH, 90, 0, 1_893_456_000, Tlp.AMBER_STRICT),
        )
        assert second == IngestRow(3, "mail-domain", "b.example", Label())

    def test_reads_groups(self) -> None:
        defaults = RowDefaults("prompt-template", group="t0")
        rows = read(b"value,group\naa, t1 \nbb,\n", Format.CSV, defaults)
        assert [row.group for row in rows if isinstance(row, IngestRow)] == ["t1", "t0"]

    @pytest.mark.parametrize(
        "header", [b"domain,type\n", b"value,value\n", b'"value\n', b"value,type,Type\n"]
    )
    def test_refuses_a_header_that_does_not_say_where_values_are(self, header: bytes) -> None:
        with pytest.raises(InputError) as caught:
            read(header + b"a.example,x\n", Format.CSV)
        assert caught.value.code is Code.BAD_FILE

    def test_numbers_a_record_by_its_first_line(self) -> None:
        content = b'value,note\na.example,"one\ntwo ""2""\n\nfour"\nb.example,\nc.example,"x\ny"\n'
        assert values(read(content, Format.CSV)) == [(2, "a.example"), (6, "b.example"), (7, "c.example")]

    @pytest.mark.parametrize(
        "bad", [b'a"b.example,x', b'"a.example"x,y', b'a.example,"x"y"', b"a.example", b"a.example,b,c"]
    )
    def test_rejects_misplaced_quotes_and_missing_fields(self, bad: bytes) -> None:
        rows = read(b"value,note\n" + bad + b"\nok.example,x\n", Format.CSV)
        assert values(rows) == [(3, "ok.example")]
        assert bad_lines(rows) == [2]

    @pytest.mark.parametrize("following", [3, MAX_RECORD_LINES * 3])
    def test_a_runaway_quote_costs_its_own_line_only(self, following: int) -> None:
        content = b'value,note\na.example,"runaway\n' + b"ok.example,x\n" * following
        rows = read(content, Format.CSV)
        assert bad_lines(rows) == [2]
        assert len(values(rows)) == following

    def test_a_record_over_the_size_limit_is_rejected(self) -> None:
        content = b'value,note\na.example,"' + b"x" * 40_000 + b"\n" + b"y" * 40_000 + b'"\nok.example,x\n'
        assert values(read(content, Format.CSV)) == [(4, "ok.example")]

    @given(
        st.lists(
            st.tuples(
                st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1),
                st.text('a,"\n '),
            ),
            max_size=20,
        )
    )
    def test_reads_back_what_a_csv_writer_wrote(self, records: list[tuple[str, str]]) -> None:
        import csv

        buffer = io.StringIO()
        writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["value", "note"])
        writer.writerows(records)
        rows = read(buffer.getvalue().encode(), Format.CSV)
        expected = [value.strip() for value, _ in records if value.strip()]
        assert [value for _, value in values(rows)] == expected


class TestJsonLines:
    def test_reads_fields_and_ignores_others(self) -> None:
        content = (
            b'{"value": "a.example", "type": "domain", "confidence": 70, "x": [{"y": 2}], "reason": null}\n\n'
            b'{"value": "b.example", "expires": 1893456000, "tlp": "TLP:RED"}\n'
        )
        assert read(content, Format.JSONL) == [
            IngestRow(1, "domain", "a.example", Label(confidence=70)),
            IngestRow(3, "mail-domain", "b.example", Label(expires=1_893_456_000, tlp=Tlp.RED)),
        ]

    def test_reads_groups(self) -> None:
        content = b'{"value": "aa", "group": "t1"}\n{"value": "bb", "group": 7}\n{"value": "cc"}\n'
        rows = read(content, Format.JSONL)
        assert [row.group for row in rows if isinstance(row, IngestRow)] == ["t1", "7", ""]

    @pytest.mark.parametrize(
        "bad",
        [
            b"a.example",
            b'"a.example"',
            b'["a.example"]',
            b'{"value": 5}',
            b'{"value": true}',
            b'{"value": null}',
            b'{"type": "domain"}',
            b'{"value": "a", "value": "b"}',
            b'{"value": "a", "x": {"y": 1, "y": 2}}',
            b'{"value": "a", "confidence": 1.5}',
            b'{"value": "a", "confidence": 101}',
            b'{"value": "a", "confidence": true}',
            b'{"value": "a", "x": NaN}',
            b'{"value": "\\ud800"}',
            b'{"value": "a", "expires": "soon"}',
            b'{"value": "a", "expires": 9999999999999}',
            b'{"value": "a"',
            b'{"value": "a"} {}',
            b'{"value": "a", "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
            b'{"value": "a", "x": ' + b"9" * 6_000 + b"}",
        ],
    )
    def test_rejects_what_is_no_row(self, bad: bytes) -> None:
        rows = read(b'{"value": "ok"}\n' + bad + b'\n{"value": "ok"}\n', Format.JSONL)
        assert values(rows) == [(1, "ok"), (3, "ok")]
        assert bad_lines(rows) == [2]


def test_rows_come_one_by_one() -> None:
    def source() -> Iterator[bytes]:
        yield b"a.example\n" * 10_000
        raise AssertionError("the reader ran ahead")

    chunks = source()

    class Stream:
        def read(self, size: int, /) -> bytes:
            return next(chunks)

    rows = read_rows(Stream(), Format.PLAIN, DOMAINS)
    assert isinstance(next(rows), IngestRow)
