"""Every type of the registry, and groups of fingerprints, through every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymisp import MISPEvent
from stix2validator import ValidationOptions, validate_instance

from mandorla_node.formats import Format, IngestRow, RowDefaults
from mandorla_node.formats.csv_writer import write_csv
from mandorla_node.formats.export_author import Author
from mandorla_node.formats.json_writer import write_json_lines
from mandorla_node.formats.matches import FoundMatch
from mandorla_node.formats.misp_writer import write_misp
from mandorla_node.formats.parquet_writer import write_parquet
from mandorla_node.formats.stix_reader import LABEL_EXTENSION
from mandorla_node.formats.stix_writer import write_stix
from mandorla_protocol.indicators import REGISTRY, Indicator
from tests.node.formats.readers import Row, match, named, read, rejected

AUTHOR = Author.of("alder", b"\x07" * 32, Ed25519PrivateKey.from_private_bytes(b"\x01" * 32), 1_800_000_000)
FINGERPRINT = "0123456789abcdef" * 2
VALUES = {
    "email": "o'hara@a.example",
    "mail-domain": "a.example",
    "mailbox": "o'hara@a.example",
    "phone": "+442079460958",
    "payment-par": "V0010013016270012345678901234",
    "payment-fingerprint": "labs-2026:" + "9f86d081884c7d65" * 4,
    "device-id": "acme:Xt5EWLLDS7FJjR1c",
    "wallet": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "domain": "xn--bcher-kva.example",
    "ipv4": "198.51.100.7",
    "ipv6": "2001:db8::7",
    "ipv4-net24": "198.51.100.0/24",
    "ipv6-net64": "2001:db8:1:2::/64",
    "url": "https://a.example/it's/~b?q%5B%5D=a%7Cb",
    "ja4": "t13d1516h2_8daaf6152771_b186095e22b6",
    "user-agent": "openai/python 1",
    "watermark": "acme-text:00ff12ab",
    "prompt-template": FINGERPRINT,
    "prompt-minhash": FINGERPRINT,
    "prompt-minhash-wide": FINGERPRINT,
    "prompt-minhash-pairs": FINGERPRINT,
    "prompt-sentence": FINGERPRINT,
    "behaviour": FINGERPRINT,
    "request-sequence": FINGERPRINT,
}
BITCOIN = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
ALL = [match(kind, value) for kind, value in VALUES.items()] + [match("wallet", BITCOIN)]
# A name for a prompt that looks like one of its fingerprints.
OF_GROUP = FoundMatch(
    "prompt-template", "ab" * 16, "birch", "shared", 1, ALL[0].label, bytes(16), "ab" * 16, 3
)


def stix(*matches: FoundMatch) -> tuple[bytes, int]:
    target = io.StringIO()
    left_out = write_stix(matches, target, AUTHOR)
    return target.getvalue().encode(), left_out


def misp(*matches: FoundMatch) -> tuple[bytes, int]:
    target = io.StringIO()
    left_out = write_misp(matches, target, AUTHOR)
    return target.getvalue().encode(), left_out


def rows_of(written_as: Format, *matches: FoundMatch) -> bytes:
    if written_as is Format.PARQUET:
        target = io.BytesIO()
        write_parquet(matches, target)
        return target.getvalue()
    text = io.StringIO(newline="")
    (write_csv if written_as is Format.CSV else write_json_lines)(matches, text)
    return text.getvalue().encode()


def grouped(rows: list[Row]) -> list[str]:
    return [row.group for row in rows if isinstance(row, IngestRow)]


def test_the_values_are_canonical_and_of_all_types() -> None:
    assert VALUES.keys() == REGISTRY.keys()
    assert all(Indicator.parse(kind, value).value == value for kind, value in VALUES.items())


@pytest.mark.parametrize("write", [stix, misp])
def test_stix_and_misp_say_every_type(write: Callable[..., tuple[bytes, int]]) -> None:
    content, left_out = write(*ALL)
    assert left_out == 0
    assert [one[1:] for one in named(read(content, Format.JSON))] == [(one.type, one.value) for one in ALL]


def test_others_read_every_type_too() -> None:
    content, _ = stix(*ALL)
    checked = validate_instance(json.loads(content), ValidationOptions(version="2.1", strict=True))
    assert not checked.errors + checked.warnings
    event = MISPEvent()
    event.load(json.loads(misp(*ALL)[0]))
    kinds = {attribute.value: attribute.type for attribute in event.attributes}
    assert [kinds[value] for value in (BITCOIN, VALUES["wallet"], VALUES["phone"])] == [
        "btc",
        "other",
        "phone-number",
    ]
    # What is left of a User-Agent is none, so nothing may look for it in headers.
    assert kinds[VALUES["user-agent"]] == "other"


@pytest.mark.parametrize("written_as", [Format.CSV, Format.JSONL, Format.PARQUET])
def test_rows_of_matches_come_in_again_but_for_those_of_groups(written_as: Format) -> None:
    rows = read(rows_of(written_as, *ALL, OF_GROUP), written_as)
    assert [one[1:] for one in named(rows)] == [(one.type, one.value) for one in ALL]
    assert len(rejected(rows)) == 1


@pytest.mark.spec("A.5-5")
@pytest.mark.parametrize("write", [stix, misp])
def test_a_match_of_a_group_is_no_indicator(write: Callable[..., tuple[bytes, int]]) -> None:
    content, left_out = write(OF_GROUP, ALL[0])
    assert left_out == 1
    assert OF_GROUP.group.encode() not in content
    assert len(read(content, Format.JSON)) == 1


def test_a_list_may_name_a_group_by_one_of_its_fingerprints() -> None:
    content = f"type,value,group\nprompt-template,{FINGERPRINT},{FINGERPRINT}\n".encode()
    assert grouped(read(content, Format.CSV)) == [FINGERPRINT]


class TestGroups:
    """Groups of fingerprints in what others write."""

    @staticmethod
    def csv(group: str | None) -> bytes:
        target = io.StringIO(newline="")
        csv.writer(target).writerows([("value", "group"), (FINGERPRINT, group)])
        return target.getvalue().encode()

    @staticmethod
    def jsonl(group: str | None) -> bytes:
        return json.dumps({"value": FINGERPRINT, "group": group, "first_matched": [1]}).encode()

    @staticmethod
    def parquet(group: str | None) -> bytes:
        target = io.BytesIO()
        pq.write_table(pa.table({"value": [FINGERPRINT], "group": pa.array([group], pa.string())}), target)
        return target.getvalue()

    @staticmethod
    def stix(group: str | None) -> bytes:
        extension = {LABEL_EXTENSION: {"extension_type": "property-extension", "group": group}}
        thing = {"type": "indicator", "pattern": f"[x-mandorla-prompt-template:value = '{FINGERPRINT}']"}
        return json.dumps({"type": "bundle", "objects": [thing | {"extensions": extension}]}).encode()

    @staticmethod
    def misp(group: str | None) -> bytes:
        tags = ['mandorla:type="prompt-template"', *([f'mandorla:group="{group}"'] if group else [])]
        attribute = {"type": "other", "value": FINGERPRINT, "Tag": [{"name": tag} for tag in tags]}
        return json.dumps({"Event": {"Attribute": [attribute]}}).encode()

    @pytest.mark.parametrize(
        ("write", "written_as"),
        [
            (csv, Format.CSV),
            (jsonl, Format.JSONL),
            (parquet, Format.PARQUET),
            (stix, Format.STIX),
            (misp, Format.MISP),
        ],
    )
    def test_they_come_in_and_the_command_names_the_others(
        self, write: Callable[[str | None], bytes], written_as: Format
    ) -> None:
        defaults = RowDefaults("prompt-template", group="t0")
        for group, expected in (("t1", "t1"), (None, "t0")):
            rows = read(write(group), written_as, defaults)
            assert (len(named(rows)), grouped(rows)) == (1, [expected])

    def test_an_event_names_one_for_all_its_attributes(self) -> None:
        event = json.loads(self.misp(None))
        event["Event"]["Tag"] = [{"name": 'mandorla:group="t1"'}]
        assert grouped(read(event, Format.MISP)) == ["t1"]

    def test_what_was_observed_has_one_too(self) -> None:
        thing = {"type": "x-mandorla-prompt-template", "value": FINGERPRINT}
        for extension, expected in (({"group": "t1"}, ["t1"]), ({}, [""]), ({"group": 5}, [])):
            content = {"type": "bundle", "objects": [thing | {"extensions": {LABEL_EXTENSION: extension}}]}
            assert grouped(read(content, Format.STIX, RowDefaults(observed=True))) == expected
