"""Writing matches: what programs and spreadsheets read."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.formats.csv_writer import write_csv
from mandorla_node.formats.formulas import guard_formula, unguard_formula
from mandorla_node.formats.json_writer import write_json
from mandorla_node.formats.matches import FoundMatch
from mandorla_protocol.labels import Label, Reason, Severity, Tlp

LABEL = Label(Reason.DISTILLATION, Severity.HIGH, 80, 1_700_000_000, 0, Tlp.GREEN)


def match(value: str) -> FoundMatch:
    return FoundMatch("mail-domain", value, "birch", "shared", 1_800_000_000, LABEL, b"\x01" * 16)


@pytest.mark.parametrize("values", [[], ["a.example"], ["a.example", "bücher.example"]])
def test_json_is_a_list_of_objects(values: list[str]) -> None:
    target = io.StringIO()
    write_json(map(match, values), target)
    assert json.loads(target.getvalue()) == [
        {
            "type": "mail-domain",
            "value": value,
            "peer": "birch",
            "kind": "shared",
            "first_matched": "2027-01-15T08:00:00Z",
            "label": {
                "reason": "distillation",
                "severity": "high",
                "confidence": 80,
                "first_seen": "2023-11-14T22:13:20Z",
                "expires": None,
                "tlp": "green",
            },
            "round_id": "01" * 16,
            "group": None,
            "tokens": 1,
        }
        for value in values
    ]


@pytest.mark.parametrize("value", ["=cmd()", "+1", "-1", "@x", "\t=1", 'a,"b"'])
def test_csv_holds_no_formula(value: str) -> None:
    target = io.StringIO(newline="")
    write_csv([match(value)], target)
    header, row = csv.reader(io.StringIO(target.getvalue(), newline=""))
    assert header[:5] == ["type", "value", "peer", "kind", "first_matched"]
    assert row[1] in (value, f"'{value}")
    assert row[1][0] not in "=+-@\t\r\n"


@given(st.text(st.sampled_from("'=+-@a"), max_size=5))
def test_the_guard_against_formulas_comes_off_again(text: str) -> None:
    assert guard_formula(text)[:1] not in tuple("=+-@")
    assert unguard_formula(guard_formula(text)) == text


def test_a_time_that_no_calendar_has_is_written_as_the_last() -> None:
    peer_says = replace(LABEL, expires=2**40 - 1)
    target = io.StringIO()
    write_json([replace(match("a.example"), label=peer_says)], target)
    assert json.loads(target.getvalue())[0]["label"]["expires"] == "9999-12-31T23:59:59Z"


@pytest.mark.spec("A.5-5")
def test_a_match_of_a_group_names_the_group_and_counts() -> None:
    of_group = FoundMatch(
        "prompt-template", "=t1", "birch", "shared", 1_800_000_000, LABEL, b"\x01" * 16, "=t1", 3
    )
    assert {"value": "=t1", "group": "=t1", "tokens": 3}.items() <= of_group.as_object().items()
    target = io.StringIO(newline="")
    write_csv([of_group], target)
    (row,) = csv.DictReader(io.StringIO(target.getvalue(), newline=""))
    assert (row["value"], row["group"], row["tokens"]) == ("'=t1", "'=t1", "3")
    assert "t1" not in repr(of_group)


def test_a_match_does_not_show_its_value() -> None:
    assert "sentinel" not in repr(match("sentinel"))
