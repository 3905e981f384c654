"""`ingest`, with a stopped node and with a running one."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from mandorla_node.home.folder import Home
from mandorla_protocol.errors import Code

from .conftest import Run


@pytest.fixture(params=["stopped", "running"])
def any_home(request: pytest.FixtureRequest) -> Home:
    """A home whose node does not run, and one whose does."""
    if request.param == "stopped":
        home: Home = request.getfixturevalue("home")
        return home
    homes: list[Home] = request.getfixturevalue("pair")
    return homes[0]


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_every_row_is_accounted_for(run: Run, folder: Path, any_home: Home) -> None:
    content = b"# feed\n198.51.100.1\n198.51.100.2\n\xff\n198.51.100.1\nsentinel.example\n"
    path = write(folder, "list.txt", content)
    arguments = ["ingest", path, "--as", "flagged", "--type", "ipv4", "--home", any_home.path]
    ran = run(*arguments, "--json")
    assert ran.status == 0
    report = ran.parsed
    assert isinstance(report, dict)
    assert (report["added"], report["known"], report["duplicates"], report["rejected_total"]) == (2, 0, 1, 2)
    assert [(row["line"], row["code"]) for row in report["rejected"]] == [
        (4, "BAD_INPUT"),
        (6, "BAD_INDICATOR"),
    ]
    again = run(*arguments)
    assert "2 known before" in " ".join(again.out.split())
    assert "sentinel" not in ran.out + ran.err + again.out + again.err


@pytest.mark.parametrize(("good", "bad"), [(b"203.0.113.1", b"\xff"), (b"203.0.113.2", b"not an address")])
def test_a_strict_ingest_stores_all_or_nothing(
    run: Run, folder: Path, any_home: Home, good: bytes, bad: bytes
) -> None:
    path = write(folder, "list.txt", good + b"\n" + bad + b"\n")
    arguments = ["ingest", path, "--as", "observed", "--type", "ipv4", "--home", any_home.path]
    ran = run(*arguments, "--strict")
    assert ran.status == Code.BAD_ROWS.info.exit_status
    assert "line 2" in ran.err
    after = run(*arguments, "--json").parsed
    assert isinstance(after, dict)
    assert after["known"] == 0


def test_csv_and_json_lines_bring_their_own_types_and_labels(run: Run, folder: Path, home: Home) -> None:
    rows = b"type,value,severity\nipv4,192.0.2.1,critical\ndomain,evil.example,\n"
    path = write(folder, "feed.csv", rows)
    lines = b'{"type": "ipv4", "value": "192.0.2.2", "confidence": 99}\n'
    for file, extra in ((path, ["--severity", "low"]), (write(folder, "feed.jsonl", lines), [])):
        assert run("ingest", file, "--as", "flagged", "--home", home.path, *extra).status == 0
    store = home.open_store()
    sizes = {name: count for name, _, count in store.indicators.sizes()}
    store.close()
    assert sizes == {"ipv4": 2, "domain": 1}


def test_standard_input_is_a_list(run: Run, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"192.0.2.1\n192.0.2.2\n")))
    ran = run("ingest", "-", "--as", "observed", "--type", "ipv4", "--home", home.path, "--json")
    assert isinstance(ran.parsed, dict)
    assert ran.parsed["added"] == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list.txt", "--as", "flagged"], Code.BAD_INPUT),
        (["list.txt", "--as", "flagged", "--type", "shoe-size"], Code.UNKNOWN_TYPE),
        (["list.txt", "--as", "observed", "--type", "ipv4", "--severity", "high"], Code.BAD_INPUT),
        (["list.txt", "--as", "flagged", "--type", "ipv4", "--severity", "huge"], Code.BAD_INPUT),
        (["list.txt", "--as", "flagged", "--type", "ipv4", "--confidence", "101"], Code.BAD_LABEL),
        (["list.txt", "--as", "flagged", "--type", "ipv4", "--expires", "someday"], Code.BAD_INPUT),
        (["feed.zip", "--as", "flagged"], Code.BAD_INPUT),
        (["absent.txt", "--as", "flagged", "--type", "ipv4"], Code.BAD_FILE),
        (["list.txt", "--as", "flagged", "--format", "csv"], Code.BAD_FILE),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, folder: Path, home: Home, arguments: list[str], code: Code
) -> None:
    write(folder, "list.txt", b"192.0.2.1\n")
    ran = run("ingest", folder / arguments[0], *arguments[1:], "--home", home.path)
    assert (ran.status, ran.err.split("\n")[0]) == (code.info.exit_status, code.name)


@pytest.mark.parametrize("expires", ["2031-01-01", "30d", "12h", "2031-01-01T00:00:00Z", "1924992000"])
def test_an_expiry_may_be_written_in_many_ways(run: Run, folder: Path, home: Home, expires: str) -> None:
    path = write(folder, "list.txt", b"192.0.2.1\n")
    ran = run("ingest", path, "--as", "flagged", "--type", "ipv4", "--expires", expires, "--home", home.path)
    assert ran.status == 0


def test_what_many_share_is_held_back_and_counted(run: Run, folder: Path, any_home: Home) -> None:
    path = write(folder, "list.txt", b"8.8.8.8\n198.51.100.77\n8.8.4.4\n8.8.8.8\n")
    arguments = ["ingest", path, "--type", "ipv4", "--home", any_home.path]
    report = run(*arguments, "--as", "flagged", "--json").parsed
    assert isinstance(report, dict)
    assert (report["added"], report["duplicates"], report["held_back"]["total"]) == (1, 0, 3)
    assert report["held_back"]["by_list"]["public-resolvers"] == 3
    shown = run(*arguments, "--as", "flagged").out
    assert "3 held back" in " ".join(shown.split())
    assert "8.8" not in shown
    seen = run(*arguments, "--as", "observed", "--json").parsed
    assert isinstance(seen, dict)
    assert (seen["added"], seen["held_back"]["total"]) == (3, 0)
    forced = run(*arguments, "--as", "flagged", "--no-suppress", "--json").parsed
    assert isinstance(forced, dict)
    assert (forced["added"], forced["known"], forced["held_back"]) == (2, 1, {"total": 0, "by_list": {}})


def test_a_lab_has_lists_of_its_own(run: Run, folder: Path, home: Home) -> None:
    config = home.path / "mandorla.toml"
    text = config.read_text().replace("[suppression]", '[suppression]\nallow_lists = ["ours.txt"]')
    config.write_text(text)
    (home.path / "ours.txt").write_text("# ours\n192.0.2.0/24\n")
    path = write(folder, "list.txt", b"192.0.2.1\n198.51.100.1\n")
    arguments = ["ingest", path, "--as", "flagged", "--type", "ipv4", "--home", home.path, "--json"]
    report = run(*arguments).parsed
    assert isinstance(report, dict)
    assert (report["added"], report["held_back"]["by_list"]) == (1, {"ours.txt": 1})
    (home.path / "ours.txt").write_text("sentinel\n")
    ran = run(*arguments)
    assert ran.status == Code.BAD_CONFIG.info.exit_status
    assert "line 1" in ran.err
    assert "sentinel" not in ran.err


def test_a_document_is_reported_by_object(run: Run, folder: Path, any_home: Home) -> None:
    patterns = ("[domain-name:value = 'doc.example']", "[x:y = 'sentinel']")
    objects = [{"type": "identity"}, *({"type": "indicator", "pattern": one} for one in patterns)]
    path = write(folder, "feed.json", json.dumps({"type": "bundle", "objects": objects}).encode())
    arguments = ["ingest", path, "--as", "flagged", "--home", any_home.path]
    ran = run(*arguments)
    assert ran.status == 0
    assert "item 3" in ran.out
    assert "sentinel" not in ran.out
    strict = run(*arguments, "--format", "stix", "--strict")
    assert strict.status == Code.BAD_ROWS.info.exit_status
    assert "object 3" in strict.err
    event = b'{"Event": {"Attribute": [{"type": "domain", "value": "sentinel"}]}}'
    strict = run("ingest", write(folder, "feed.misp", event), *arguments[2:], "--strict")
    assert strict.status == Code.BAD_ROWS.info.exit_status
    assert "attribute 1" in strict.err
    assert "sentinel" not in strict.err
