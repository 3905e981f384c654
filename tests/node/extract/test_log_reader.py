"""Logs as they come: bad rows are counted and reported by position, and never crash or show themselves."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.extract import log_reader
from mandorla_node.extract.accounts import in_order
from mandorla_node.extract.log_map import COLUMNS, LogMap, load_map
from mandorla_node.extract.log_reader import Batch, Faults, find_pieces, read
from mandorla_node.extract.rows import SCHEMA, Rows
from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.fingerprints.steps import GAP_LIMITS, Endpoint, ModelClass, Tool, gap_class

GOOD = b'{"time": 1, "account": "a"}\n'


def rows_of(
    path: Path, log_map: LogMap | None = None
) -> tuple[list[dict[str, object]], list[tuple[int, str]], int]:
    """The rows of a log, its faults by their position in the file, and how many rows it has."""
    frames, faults, total = [], [], 0
    for piece in find_pieces(path):
        found = Faults()
        made = Rows(log_map or LogMap(), found)
        for batch in read(piece, log_map or LogMap(), found):
            if isinstance(batch, int):
                faults += [(total + number, reason) for number, reason in found.first]
                total += batch
            else:
                frames += made.frame(batch).to_dicts()
    return frames, faults, total


@pytest.mark.parametrize(
    "bad",
    [
        b"sentinel\n",
        b"[1]\n",
        b'{"time": 1, "account": "sentinel"\n',
        b'{"time": NaN, "account": "sentinel"}\n',
        b'{"time": 1, "account": "\\ud800sentinel"}\n',
        b'{"time": 1, "account": "\xffsentinel"}\n',
        b"[" * 50_000 + b"\n",
        b'{"account": "sentinel"}\n',
        b'{"time": "sentinel", "account": "a"}\n',
        b'{"time": true, "account": "a"}\n',
        b'{"time": -1, "account": "a"}\n',
        b'{"time": 1e300, "account": "a"}\n',
        b'{"time": 1}\n',
        b'{"time": 1, "account": ""}\n',
        b'{"time": 1, "account": ["sentinel"]}\n',
        b'{"time": 1, "account": "' + b"a" * 2000 + b'"}\n',
        b'{"time": 1, "account": "a", "prompt": {"sentinel": 1}}\n',
        b'{"time": 1, "account": "a", "tools": 7}\n',
        b'{"time": 1, "account": "a", "tools": [["sentinel"]]}\n',
        b'{"time": 1, "account": "a", "model": 7}\n',
        b'{"time": 1, "account": "a", "answer_size": -7}\n',
        b'{"time": 1, "account": "a", "prompt_size": "sentinel"}\n',
        b'{"time": 1, "account": "a", "mail": 7}\n',
        b"x" * (log_reader.MAX_ROW + 2) + b"\n",
        b'{"time": 1, "account": "' + b"x" * 3 * log_reader.MAX_ROW + b'"}\n',
    ],
    ids=range(25),
)
def test_a_bad_row_is_named_by_its_position_alone(folder: Path, bad: bytes) -> None:
    path = folder / "log.jsonl"
    path.write_bytes(GOOD + b"\n" + bad + GOOD)
    found, faults, total = rows_of(path)
    assert [(row["account"], row["time"]) for row in found] == [("a", 1)] * 2
    assert total == 4
    ((number, reason),) = faults
    assert number == 3
    assert "sentinel" not in reason


@given(
    lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=20),
    piece=st.integers(1, 60),
)
def test_pieces_hold_each_line_once_wherever_they_are_cut(lines: list[bytes], piece: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="md-") as name, pytest.MonkeyPatch.context() as patch:
        path = Path(name) / "log.jsonl"
        made = [
            line if n % 2 else json.dumps({"time": n, "account": "a"}).encode()
            for n, line in enumerate(lines)
        ]
        path.write_bytes(b"\n".join(made))
        expected = rows_of(path)
        patch.setattr(log_reader, "PIECE", piece)
        assert rows_of(path) == expected
        assert [row["time"] for row in expected[0]] == list(range(0, len(lines), 2))


def test_csv_is_read_strictly_and_goes_on_after_a_bad_record(folder: Path) -> None:
    path = folder / "log.csv"
    path.write_bytes(
        b"\xef\xbb\xbfaccount,time,prompt\r\n"
        b'a,1,"two\nlines, ""quoted"""\r\n'
        b"a,2\r\n"
        b"a,3,\xff\r\n"
        b"\r\n"
        b'a,4,x"y\r\n'
        b'a,5,"x"y\r\n'
        b"a,6,nul\x00\r\n"
        b"a,7," + b"x" * (log_reader.MAX_ROW + 5) + b"\r\n"
        b"a,8,\r\n"
    )
    found, faults, _ = rows_of(path)
    assert [(row["time"], row["prompt"]) for row in found] == [
        (1, 'two\nlines, "quoted"'),
        (4, 'x"y'),
        (8, None),
    ]
    assert [number for number, _ in faults] == [4, 5, 8, 9, 10]


def test_an_unclosed_quote_ends_with_the_file_or_at_the_limit(folder: Path) -> None:
    path = folder / "log.csv"
    path.write_bytes(b'account,time\na,1\n"a,2\n' + b"a,3\n" * 400_000)
    found, faults, _ = rows_of(path)
    assert found[0]["time"] == 1
    assert faults[0][0] == 3
    assert len(found) + len(faults) > 100_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", b""),
        ("log.csv", b"time,user\n1,a\n"),
        ("log.csv", b"time,account,account\n1,a,b\n"),
        ("log.parquet", b"PAR1 sentinel"),
        ("log.jsonl.gz", b"no gzip"),
        ("log.jsonl.gz", gzip.compress(GOOD * 100, mtime=0)[:-20]),
        ("log.txt", b"1 a"),
    ],
)
def test_a_file_that_is_not_a_log_is_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        rows_of(folder / name)
    assert caught.value.code is Code.BAD_FILE
    assert "sentinel" not in caught.value.diagnostics()


@pytest.mark.parametrize("logs", ["absent.jsonl", "empty"])
def test_no_log_is_an_error(folder: Path, logs: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        find_pieces(folder / logs)
    assert caught.value.code is Code.BAD_FILE


def test_a_parquet_log_without_an_account_is_refused(folder: Path) -> None:
    pq.write_table(pa.table({"time": [1]}), folder / "log.parquet")
    with pytest.raises(InputError) as caught:
        rows_of(folder / "log.parquet")
    assert caught.value.code is Code.BAD_FILE


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        (1_767_225_600, "s"),
        (1_767_225_600.9, "s"),
        ("1767225600", "s"),
        (1_767_225_600_999, "ms"),
        (1_767_225_600_999_999, "us"),
        (1_767_225_600_999_999_999, "ns"),
        ("2026-01-01T00:00:00Z", "ms"),
        ("2026-01-01T01:00:00.5+01:00", "s"),
        ("2026-01-01 00:00:00", "s"),
        (datetime(2026, 1, 1, tzinfo=UTC), "s"),
    ],
)
def test_times_may_be_written_in_many_ways(folder: Path, time: object, unit: str) -> None:
    (folder / "map.toml").write_text(f'time = "{unit}"\n')
    faults = Faults()
    columns: dict[str, list[object]] = {name: [None] for name in COLUMNS} | {"time": [time], "account": [7]}
    frame = Rows(load_map(folder / "map.toml"), faults).frame(Batch([1], columns))
    assert frame["time"].to_list() == [1_767_225_600]
    assert frame["account"].to_list() == ["7"]
    assert not faults.total


def test_a_map_names_columns_classes_and_units(folder: Path) -> None:
    (folder / "map.toml").write_text(
        'sizes = "tokens"\n'
        '[columns]\ntime = "at"\naccount = "user.id"\nmodel = "m"\nprompt_size = "in"\nanswer_size = "out"\n'
        '[models]\n"*-mini*" = "small"\n"gpt-*" = "frontier"\n'
        '[endpoints]\n"*/embed" = "embedding"\n'
        '[tools]\n"py*" = "code"\n'
    )
    row = {
        "at": 5,
        "user": {"id": "u"},
        "m": "gpt-9-mini-x",
        "in": 16,
        "out": 4096,
        "endpoint": "/v9/embed",
        "tools": ["python", "search", "what"],
    }
    (folder / "log.jsonl").write_text(json.dumps(row))
    ((found,), faults, _) = rows_of(folder / "log.jsonl", load_map(folder / "map.toml"))
    assert not faults
    assert (found["account"], found["time"]) == ("u", 5)
    step = found["step"]
    assert isinstance(step, int)
    tools = Tool.CODE | Tool.SEARCH | Tool.OTHER
    assert step.to_bytes(5, "big") == bytes([Endpoint.EMBEDDING, ModelClass.SMALL, tools, 2, 6])


@pytest.mark.parametrize(
    "text",
    [
        "no toml",
        'time = "weeks"',
        "time = 7",
        "sizes = 1",
        "colours = 1",
        '[columns]\nprice = "p"',
        "[columns]\ntime = 1",
        "columns = 1",
        '[tools]\nx = "shoe"',
    ],
)
def test_a_map_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "map.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_map(folder / "map.toml")
    assert caught.value.code is Code.BAD_CONFIG


def test_the_size_of_a_prompt_that_is_not_given_is_its_length(folder: Path) -> None:
    (folder / "log.jsonl").write_text(json.dumps({"time": 1, "account": "a", "prompt": "é" * 300}))
    ((row,), _, _) = rows_of(folder / "log.jsonl")
    step = row["step"]
    assert isinstance(step, int)
    assert step.to_bytes(5, "big") == bytes([0, 0, 0, 3, 0])


@given(times=st.lists(st.integers(0, 2**39), min_size=1, max_size=30))
def test_gaps_are_in_the_classes_of_the_protocol(times: list[int]) -> None:
    limits = [0, *(limit + near for limit in GAP_LIMITS for near in (-1, 0))]
    moments = sorted({*times, *(sum(limits[:n]) for n in range(len(limits)))})
    frame = pl.DataFrame(
        {"account": ["a"] * len(moments), "time": moments, "step": [1 << 32] * len(moments)},
        {name: SCHEMA[name] for name in ("account", "time", "step")},
    ).with_columns(pl.lit(None, pl.String).alias("prompt"))
    codes = [step.to_bytes(6, "big")[5] for step in in_order(frame)["step"]]
    gaps = [after - before for before, after in pairwise(moments)]
    assert codes == [0, *map(gap_class, gaps)]
