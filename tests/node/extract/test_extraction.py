"""`extract`, from logs to a file that `ingest` reads."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mandorla_node.extract import log_reader
from mandorla_node.extract import parts as on_disk
from mandorla_node.extract.parts import SortedRuns, merge
from mandorla_node.extract.plan import PROMPT_TYPES, TYPES
from mandorla_protocol.errors import Code
from mandorla_protocol.fingerprints.behaviour import Activity, behaviour_values
from mandorla_protocol.fingerprints.sequence import sequence_values
from mandorla_protocol.fingerprints.steps import Endpoint, ModelClass, Step, Tool
from mandorla_protocol.fingerprints.template import mine
from mandorla_protocol.indicators import REGISTRY, Indicator
from tests.support.commands import Ran, Run

Row = dict[str, Any]
MAP = """
[models]
"big-*" = "frontier"
"mini" = "small"
[tools]
"web" = "search"
"""
TEMPLATE = "You are a careful examiner who grades every answer in {} with a short proof and a score"
EXTRACTED = "behaviour,request-sequence,prompt-template,prompt-minhash,mailbox,ipv4,ipv6"


def bot(number: int, count: int = 60) -> list[Row]:
    """Requests of one of an operator's accounts, in a cycle of three."""
    return [
        {
            "time": 1_767_225_600 + 30 * n + number,
            "account": f"bot-{number}",
            "mail": f"j.doe+{number}@gmail.com",
            "address": f"198.51.100.{number}",
            "payment": "card-1",
            "endpoint": ("/v1/chat/completions", "/v1/chat/completions", "/v1/embeddings")[n % 3],
            "model": ("big-1", "mini", "other")[n % 3],
            "tools": ["web"] if n % 3 == 0 else [],
            "prompt": TEMPLATE.format(f"topic {number} {n % 5}"),
            "prompt_size": None,
            "answer_size": 500 + n % 3 * 4000,
        }
        for n in range(count)
    ]


@pytest.fixture
def rows() -> list[Row]:
    """Twelve accounts of an operator, and a person; requests of all of them mixed."""
    person = [
        {
            "time": 1_767_225_600 + n * n,
            "account": "p",
            "prompt": f"What is the meaning of word {n}?",
            "address": "2001:db8::1",
        }
        for n in range(55)
    ]
    mixed = [row for number in range(12) for row in bot(number)] + person
    return sorted(mixed, key=lambda row: (row["time"] * 7919) % 1009)


def write(path: Path, rows: Iterable[Row]) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        pq.write_table(
            pa.Table.from_pylist([dict.fromkeys(columns) | row for row in rows]), path, row_group_size=100
        )
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({**row, "tools": " ".join(row.get("tools") or ())} for row in rows)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def extract(run: Run, folder: Path) -> Callable[..., Ran]:
    """Run `extract` to out.csv, with the map above, on one worker."""
    (folder / "map.toml").write_text(MAP)

    def command(logs: Path, *options: object, out: str = "out.csv", types: str = EXTRACTED) -> Ran:
        arguments = ("--out", folder / out, "--map", folder / "map.toml", "--workers", 1)
        return run("extract", logs, *arguments, "--types", types, *options)

    return command


def read(path: Path) -> list[tuple[str, str, str]]:
    with path.open(newline="") as file:
        return [(row["type"], row["value"], row["group"]) for row in csv.DictReader(file)]


def values(path: Path, kind: str) -> dict[str, list[str]]:
    """The values of a type, by group."""
    found: dict[str, list[str]] = {}
    for name, value, group in read(path):
        if name == kind:
            found.setdefault(group, []).append(value)
    return found


def test_what_is_written_is_what_the_fingerprints_of_the_log_are(
    extract: Callable[..., Ran], folder: Path, rows: list[Row]
) -> None:
    ran = extract(write(folder / "log.jsonl", rows), "--names", folder / "names.csv")
    assert ran.status == 0
    with (folder / "names.csv").open(newline="") as file:
        accounts = {(row["group"], row["account"]) for row in csv.DictReader(file)}
    named = {
        account: group for group, account in accounts if group in values(folder / "out.csv", "behaviour")
    }
    for number in (0, 11):
        steps = []
        for n, row in enumerate(bot(number)):
            steps.append(
                Step(
                    (Endpoint.CHAT, Endpoint.CHAT, Endpoint.EMBEDDING)[n % 3],
                    (ModelClass.FRONTIER, ModelClass.SMALL, ModelClass.OTHER)[n % 3],
                    (Tool.SEARCH, Tool.NONE, Tool.NONE)[n % 3],
                    len(row["prompt"]),
                    row["answer_size"],
                    30 if n else None,
                ).encode()
            )
        group = named[f"bot-{number}"]
        sequence = list(sequence_values(b"".join(steps)))
        assert values(folder / "out.csv", "request-sequence").get(group, []) == (
            sequence if len(sequence) >= REGISTRY["request-sequence"].needed else []
        )
        made = Activity([row["time"] for row in bot(number)], [row["prompt"] for row in bot(number)], 12)
        assert values(folder / "out.csv", "behaviour")[group] == list(behaviour_values(made))
    templates = mine((row["account"], row["prompt"]) for row in rows)
    assert len(templates) == 1
    found = values(folder / "out.csv", "prompt-template")
    assert {group: frozenset(some) for group, some in found.items()} == templates
    assert {account for group, account in accounts if group in templates} == {f"bot-{n}" for n in range(12)}
    prompts = {row["prompt"] for row in rows}
    expected = {frozenset(PROMPT_TYPES["prompt-minhash"](prompt)) for prompt in prompts}
    assert {frozenset(some) for some in values(folder / "out.csv", "prompt-minhash").values()} == expected - {
        frozenset()
    }
    singles = {(kind, value) for kind, value, group in read(folder / "out.csv") if not group}
    assert singles == {("mailbox", "jdoe@gmail.com"), ("ipv6", "2001:db8::1")} | {
        ("ipv4", f"198.51.100.{n}") for n in range(12)
    }


def test_rows_are_canonical_indicators_in_order_each_once(
    extract: Callable[..., Ran], folder: Path, rows: list[Row]
) -> None:
    extract(write(folder / "log.jsonl", rows), types="")
    found = read(folder / "out.csv")
    assert found == sorted(set(found))
    assert all(Indicator.parse(kind, value).value == value for kind, value, _ in found)
    assert all(re.fullmatch(r"[a-z0-9-]{0,64}", group) for _, _, group in found)


@pytest.mark.parametrize("log", ["log.jsonl", "log.csv", "log.parquet", "log.jsonl.gz"])
@pytest.mark.parametrize("parts", [1, 3, 8])
def test_neither_format_nor_parts_change_a_byte(
    extract: Callable[..., Ran],
    folder: Path,
    rows: list[Row],
    log: str,
    parts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extract(write(folder / "log.jsonl", rows), out="expected.csv")
    monkeypatch.setattr(log_reader, "PIECE", 10_000)
    monkeypatch.setattr(log_reader, "BATCH_ROWS", 50)
    monkeypatch.setattr(on_disk, "_RUN", 100)
    monkeypatch.setattr(on_disk, "_OPEN", 3)
    ran = extract(write(folder / log, rows[::-1]), "--parts", parts)
    assert ran.status == 0
    assert (folder / "out.csv").read_bytes() == (folder / "expected.csv").read_bytes()


def test_two_processes_give_what_one_does(extract: Callable[..., Ran], folder: Path, rows: list[Row]) -> None:
    log = write(folder / "log.jsonl", rows)
    extract(log, out="one.jsonl", types="behaviour,ipv4")
    assert extract(log, "--parts", 3, "--workers", 2, out="two.jsonl", types="behaviour,ipv4").status == 0
    assert (folder / "one.jsonl").read_bytes() == (folder / "two.jsonl").read_bytes()


@pytest.mark.parametrize("out", ["out.jsonl", "out.parquet", "out.csv"])
def test_every_form_of_output_holds_the_same(
    extract: Callable[..., Ran], folder: Path, rows: list[Row], out: str
) -> None:
    log = write(folder / "log.jsonl", rows)
    extract(log, out="expected.csv")
    extract(log, out=out)
    if out.endswith(".parquet"):
        found: Sequence[Row] = pq.read_table(folder / out).to_pylist()
    elif out.endswith(".jsonl"):
        found = [json.loads(line) for line in (folder / out).read_text().splitlines()]
    else:
        return
    assert [(row["type"], row["value"], row.get("group", "")) for row in found] == read(
        folder / "expected.csv"
    )


def test_a_folder_of_logs_is_one_log(extract: Callable[..., Ran], folder: Path, rows: list[Row]) -> None:
    extract(write(folder / "log.jsonl", rows), out="expected.csv")
    (folder / "logs" / "more").mkdir(parents=True)
    write(folder / "logs" / "a.jsonl", rows[:100])
    write(folder / "logs" / "more" / "b.csv", rows[100:300])
    write(folder / "logs" / "c.parquet", rows[300:])
    (folder / "logs" / "notes.txt").write_text("no log")
    extract(folder / "logs")
    assert (folder / "out.csv").read_bytes() == (folder / "expected.csv").read_bytes()


def test_groups_keep_their_names_under_one_key_and_have_others_under_another(
    extract: Callable[..., Ran], folder: Path, rows: list[Row]
) -> None:
    log = write(folder / "log.jsonl", rows)
    extract(log, types="behaviour")
    extract(log, out="again.csv", types="behaviour")
    extract(log, "--key", folder / "other.key", out="other.csv", types="behaviour")
    groups = [set(values(folder / name, "behaviour")) for name in ("out.csv", "again.csv", "other.csv")]
    assert groups[0] == groups[1]
    assert groups[0].isdisjoint(groups[2])
    assert (folder / "other.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "out.csv").stat().st_mode & 0o777 == 0o600


def test_accounts_that_are_not_named_do_not_count(
    extract: Callable[..., Ran], folder: Path, rows: list[Row]
) -> None:
    (folder / "flagged.txt").write_text("bot-3\nbot-4\n")
    log = write(folder / "log.jsonl", rows)
    extract(log, out="all.csv", types="behaviour")
    extract(log, "--accounts", folder / "flagged.txt")
    # How many share an instrument is counted over all accounts.
    every, flagged = (values(folder / name, "behaviour") for name in ("all.csv", "out.csv"))
    assert len(flagged) == 2
    assert flagged == {group: every[group] for group in flagged}
    assert {value for kind, value, _ in read(folder / "out.csv") if kind == "ipv4"} == {
        "198.51.100.3",
        "198.51.100.4",
    }


def test_what_many_groups_have_makes_a_stop_list(
    extract: Callable[..., Ran], folder: Path, rows: list[Row]
) -> None:
    log = write(folder / "log.jsonl", rows)
    types = "behaviour,prompt-template,ipv4"
    extract(log, types=types)
    extract(log, "--common", 12, out="common.csv", types=types)
    found = read(folder / "common.csv")
    assert not any(group for _, _, group in found)
    stopped = {(kind, value) for kind, value, _ in found}
    assert {kind for kind, _ in stopped} == {"behaviour", "prompt-template"}
    templates = {value for some in values(folder / "out.csv", "prompt-template").values() for value in some}
    assert {value for kind, value in stopped if kind == "prompt-template"} == templates
    ran = extract(log, "--stop-list", folder / "common.csv", "--json", out="left.csv", types=types)
    left = [row for row in read(folder / "out.csv") if row[:2] not in stopped]
    assert read(folder / "left.csv") == left
    assert isinstance(ran.parsed, dict)
    assert ran.parsed["stopped"] == len(read(folder / "out.csv")) - len(left)


def test_ingest_takes_what_extract_gives(
    run: Run, extract: Callable[..., Ran], folder: Path, rows: list[Row]
) -> None:
    from tests.support import labs

    home = labs.make_home(folder / "h", "alder")
    extract(write(folder / "log.jsonl", rows), out="out.jsonl")
    ran = run("ingest", folder / "out.jsonl", "--as", "observed", "--home", home.path, "--json")
    assert isinstance(ran.parsed, dict)
    assert ran.parsed["rejected_total"] == 0
    taken = {json.loads(line)["value"] for line in (folder / "out.jsonl").read_text().splitlines()}
    assert ran.parsed["added"] == len(taken) > 50


def test_nothing_is_left_of_the_work(extract: Callable[..., Ran], folder: Path, rows: list[Row]) -> None:
    (folder / "work").mkdir()
    extract(write(folder / "log.jsonl", rows), "--work", folder / "work")
    assert not list((folder / "work").iterdir())
    assert {path.name for path in folder.iterdir()} == {
        "work",
        "log.jsonl",
        "map.toml",
        "out.csv",
        "mandorla-extract.key",
    }


def test_no_group_tells_an_account_or_a_prompt(
    extract: Callable[..., Ran], folder: Path, rows: list[Row]
) -> None:
    ran = extract(write(folder / "log.jsonl", rows), types=",".join(TYPES))
    text = (folder / "out.csv").read_text()
    assert "bot-" not in text
    assert "examiner" not in text + ran.out + ran.err


def test_runs_are_merged_in_order_however_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "_RUN", 5)
    monkeypatch.setattr(on_disk, "_OPEN", 2)
    rows = [(f"{n * 37 % 101:03}", f"{n % 7}", "") for n in range(300)]
    with SortedRuns(folder, "out", "part", ("type", "value", "group")) as out:
        for row in rows:
            out.add([row])
    assert list(merge(folder, "out")) == sorted(set(rows))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--types", "shoe-size"], Code.UNKNOWN_TYPE),
        (["--out", "out.txt"], Code.BAD_INPUT),
        (["--map", "absent.toml"], Code.BAD_FILE),
        (["--map", "bad.toml"], Code.BAD_CONFIG),
        (["--accounts", "absent"], Code.BAD_FILE),
        (["--stop-list", "absent.csv"], Code.BAD_FILE),
        (["--key", "log.jsonl"], Code.BAD_CONFIG),
        (["--work", "absent"], Code.BAD_FILE),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: Code
) -> None:
    monkeypatch.chdir(folder)
    (folder / "log.jsonl").write_text('{"time": 1, "account": "a"}\n')
    (folder / "bad.toml").write_text('[models]\n"x" = "enormous"\n')
    given = ["extract", "log.jsonl", "--workers", 1, *options]
    ran = run(*given, *([] if "--out" in options else ["--out", "out.csv"]))
    assert (ran.status, ran.err.split("\n")[0]) == (code.info.exit_status, code.name)


def test_a_missing_extra_is_a_clear_error(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "polars", None)
    ran = run("extract", folder / "log.jsonl", "--out", folder / "out.csv")
    assert ran.status == Code.BAD_CONFIG.info.exit_status
    assert "pip install 'mandorla[extract]'" in " ".join(ran.err.split())
