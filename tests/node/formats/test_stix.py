"""STIX bundles: what is read of them, and that what we write validates and reads back."""

from __future__ import annotations

import io
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stix2validator import ValidationOptions, validate_instance

from mandorla_node.formats import Format, IngestRow, RowDefaults
from mandorla_node.formats.export_author import Author
from mandorla_node.formats.matches import FoundMatch
from mandorla_node.formats.stix_patterns import PatternError, read_pattern, write_pattern
from mandorla_node.formats.stix_reader import LABEL_EXTENSION
from mandorla_node.formats.stix_writer import write_stix
from mandorla_node.formats.tlp import STIX_MARKINGS
from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.indicators import REGISTRY
from mandorla_protocol.labels import Label, Reason, Severity, Tlp
from tests.node.formats.readers import label_of, match, named, read, rejected

NOW = 1_800_000_000
AUTHOR = Author.of("alder", b"\x07" * 32, Ed25519PrivateKey.from_private_bytes(b"\x01" * 32), NOW)
OBSERVED = RowDefaults(observed=True)

LABELS = st.builds(
    Label,
    reason=st.sampled_from(Reason),
    severity=st.sampled_from(Severity),
    confidence=st.integers(0, 100),
    first_seen=st.one_of(st.just(0), st.integers(0, 2**40 - 1)),
    expires=st.one_of(st.just(0), st.integers(0, 2**40 - 1)),
    tlp=st.sampled_from(Tlp),
)


def bundle(*objects: object) -> dict[str, object]:
    return {"type": "bundle", "id": "bundle--1", "objects": list(objects)}


def indicator(pattern: str, **others: object) -> dict[str, object]:
    return {"type": "indicator", "pattern": pattern, "pattern_type": "stix"} | others


def written(*matches: FoundMatch) -> str:
    target = io.StringIO()
    assert write_stix(matches, target, AUTHOR) == 0
    return target.getvalue()


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("[ipv4-addr:value = '198.51.100.7']", [("ipv4", "198.51.100.7")]),
            ("[ ipv4-addr:value='198.51.100.7/32' ]", [("ipv4", "198.51.100.7")]),
            ("[ipv4-addr:value = '198.51.100.0/24']", [("ipv4-net24", "198.51.100.0/24")]),
            ("[ipv6-addr:value = '2001:db8::/64']", [("ipv6-net64", "2001:db8::/64")]),
            ("[ipv4-addr:value = '198.51.0.0/16']", [None]),
            ("[domain-name:value == 'a.example']", [("domain", "a.example")]),
            ("[url:value = 'http://a.example/\\'x\\\\']", [("url", "http://a.example/'x\\")]),
            ("[email-addr:value = 'a@b.example']", [("email", "a@b.example")]),
            ("[email-message:from_ref.value = 'a@b.example']", [("email", "a@b.example")]),
            ("[email-addr:value LIKE '%@b.example']", [("mail-domain", "b.example")]),
            ("[email-addr:value LIKE '%@b%']", [None]),
            ("[email-addr:value LIKE 'x%']", [None]),
            ("[x-mandorla-mailbox:value = 'a@b.example']", [("mailbox", "a@b.example")]),
            (
                "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'curl/8']",
                [("user-agent", "curl/8")],
            ),
            ("[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']", [None]),
            (
                "[domain-name:value = 'a.example' OR url:value = 'http://b.example/']",
                [("domain", "a.example"), ("url", "http://b.example/")],
            ),
            (
                "[domain-name:value = 'a.example'] OR [domain-name:value = 'b.example']",
                [("domain", "a.example"), ("domain", "b.example")],
            ),
            (
                "[domain-name:value IN ('a.example', 'b.example')]",
                [("domain", "a.example"), ("domain", "b.example")],
            ),
        ],
    )
    def test_alternatives_of_equality_name_indicators(self, pattern: str, expected: list[object]) -> None:
        assert read_pattern(pattern) == expected

    @pytest.mark.parametrize(
        "pattern",
        [
            "",
            "[]",
            "[domain-name:value]",
            "[domain-name:value = 'a.example'",
            "[domain-name:value = 'a.example']]",
            "OR [domain-name:value = 'a.example']",
            "[domain-name:value = 'a.example'][domain-name:value = 'b.example']",
            "[domain-name:value != 'a.example']",
            "[NOT domain-name:value = 'a.example']",
            "[domain-name:value MATCHES 'a']",
            "[domain-name:value = 'a.example' AND url:value = 'http://a.example/']",
            "[domain-name:value = 'a.example'] AND [domain-name:value = 'b.example']",
            "[domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']",
            "[domain-name:value = 'a.example'] WITHIN 5 SECONDS",
            "[domain-name:value = 'a.example'] REPEATS 5 TIMES",
            "([domain-name:value = 'a.example'])",
            "[domain-name:value IN ('a.example']",
            "[domain-name:value IN 'a.example']",
            "[domain-name:value = 'a.example')]",
            "[domain-name:value = 'a.example', 'b.example']",
            "[domain-name:value = 5]",
            "[" + "(" * 60_000,
            "[domain-name:value = '" + "a" * 70_000 + "']",
        ],
    )
    def test_what_says_more_is_refused(self, pattern: str) -> None:
        with pytest.raises(PatternError):
            read_pattern(pattern)

    @given(st.text())
    def test_any_text_is_read_or_refused_in_the_same_words(self, pattern: str) -> None:
        with pytest.raises(PatternError) as caught:
            read_pattern("")
        try:
            read_pattern(pattern)
        except PatternError as error:
            assert str(error) == str(caught.value)

    @given(st.sampled_from(sorted(REGISTRY)), st.text(min_size=1))
    def test_a_value_cannot_get_out_of_its_literal(self, kind: str, value: str) -> None:
        (read_back,) = read_pattern(write_pattern(kind, value))
        # An address may lose its prefix, which says its type.
        assert read_back is None or read_back[1] == value or "/" in value


class TestReading:
    def test_rows_are_numbered_by_object_and_context_is_passed_over(self) -> None:
        content = bundle(
            {"type": "identity", "name": "x"},
            indicator("[ipv4-addr:value = '198.51.100.7' OR ipv4-addr:value = '198.51.100.8']"),
            indicator("[file:name = 'x']"),
            {"type": "sighting"},
            {"type": "x-other"},
            indicator("[domain-name:value = 'a.example']"),
        )
        rows = read(content, Format.STIX)
        assert named(rows) == [
            (2, "ipv4", "198.51.100.7"),
            (2, "ipv4", "198.51.100.8"),
            (6, "domain", "a.example"),
        ]
        assert rejected(rows) == [3, 5]

    def test_labels_come_from_the_indicator(self) -> None:
        thing = indicator(
            "[domain-name:value = 'a.example']",
            confidence=80,
            valid_from="2026-01-01T00:00:00Z",
            valid_until="2027-01-01T00:00:00.123456Z",
            object_marking_refs=[STIX_MARKINGS[Tlp.GREEN], STIX_MARKINGS[Tlp.AMBER_STRICT], "other"],
            extensions={LABEL_EXTENSION: {"reason": "payment-fraud", "severity": "critical"}},
        )
        assert label_of(read(bundle(thing), Format.STIX)) == Label(
            Reason.PAYMENT_FRAUD, Severity.CRITICAL, 80, 1_767_225_600, 1_798_761_600, Tlp.AMBER_STRICT
        )

    def test_tlp_1_is_understood_too(self) -> None:
        red = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
        thing = indicator("[domain-name:value = 'a.example']", object_marking_refs=[red])
        assert label_of(read(bundle(thing), Format.STIX)).tlp is Tlp.RED

    def test_the_defaults_fill_what_an_indicator_does_not_say(self) -> None:
        default = Label(reason=Reason.ABUSE, confidence=7)
        thing = indicator("[domain-name:value = 'a.example']", indicator_types=["anonymization"])
        label = label_of(read(bundle(thing), Format.STIX, RowDefaults(label=default)))
        assert (label.reason, label.confidence) == (Reason.PROXY_INFRASTRUCTURE, 7)

    def test_a_revoked_indicator_has_expired_and_was_not_observed(self) -> None:
        thing = indicator(
            "[domain-name:value = 'a.example']", revoked=True, modified="2026-01-01T00:00:00.000Z"
        )
        assert label_of(read(bundle(thing), Format.STIX)).expires == 1_767_225_600
        assert rejected(read(bundle(thing), Format.STIX, OBSERVED)) == [1]

    def test_observables_are_observed_and_never_flagged(self) -> None:
        content = bundle({"type": "ipv4-addr", "value": "198.51.100.7"}, {"type": "file"})
        assert rejected(read(content, Format.STIX)) == [1, 2]
        assert named(read(content, Format.STIX, OBSERVED)) == [(1, "ipv4", "198.51.100.7")]

    @pytest.mark.parametrize(
        "bad",
        [
            5,
            [],
            {},
            {"type": 5},
            {"type": "indicator"},
            indicator("[domain-name:value = 'sentinel.example' AND url:value = 'x']"),
            indicator("[domain-name:value = 'sentinel.example']", pattern_type="yara"),
            indicator("[domain-name:value = 'sentinel.example']", confidence=101),
            indicator("[domain-name:value = 'sentinel.example']", confidence=10**40),
            indicator("[domain-name:value = 'sentinel.example']", confidence=True),
            indicator("[domain-name:value = 'sentinel.example']", confidence="sentinel"),
            indicator("[domain-name:value = 'sentinel.example']", valid_from="sentinel"),
            indicator("[domain-name:value = 'sentinel.example']", valid_until=5),
            indicator("[domain-name:value = 'sentinel.example']", object_marking_refs="sentinel"),
            indicator("[domain-name:value = 'sentinel.example']", indicator_types=["benign"]),
            indicator(
                "[domain-name:value = 'sentinel.example']",
                extensions={LABEL_EXTENSION: {"severity": "sentinel"}},
            ),
            indicator("[domain-name:value = 'sentinel.example']", x=[0] * 30_000),
        ],
    )
    def test_a_bad_object_is_rejected_by_position_and_the_next_is_read(self, bad: object) -> None:
        if isinstance(bad, dict) and bad.get("confidence") == 10**40:
            with pytest.raises(InputError):
                read(bundle(bad), Format.STIX)
            return
        rows = read(bundle(bad, indicator("[domain-name:value = 'a.example']")), Format.STIX)
        assert rejected(rows) == [1]
        assert named(rows) == [(2, "domain", "a.example")]
        assert "sentinel" not in repr(rows)

    @pytest.mark.parametrize(
        "content", [{}, [], {"objects": []}, {"type": "report", "objects": []}, {"Event": {}}, b"", b"{"]
    )
    def test_what_is_no_bundle_is_refused(self, content: object) -> None:
        with pytest.raises(InputError) as caught:
            read(content, Format.STIX)
        assert caught.value.code is Code.BAD_FILE

    def test_a_key_twice_costs_its_object_alone(self) -> None:
        raw = json.dumps(bundle({"type": "x"}, indicator("[domain-name:value = 'a.example']")))
        rows = read(raw.replace('{"type": "x"}', '{"type": "a", "type": "b"}').encode(), Format.STIX)
        assert (rejected(rows), len(named(rows))) == ([1], 1)


class TestWriting:
    CASES: tuple[FoundMatch, ...] = (
        match("ipv4", "198.51.100.7", Label(Reason.PROXY_INFRASTRUCTURE, tlp=Tlp.GREEN)),
        match("ipv4-net24", "198.51.100.0/24"),
        match("ipv6-net64", "2001:db8::/64"),
        match("mail-domain", "a.example", Label(Reason.DISPOSABLE_IDENTITY, expires=1_900_000_000)),
        match("url", "http://a.example/it's\\", Label(Reason.DISTILLATION, Severity.HIGH, 90, 5, 3)),
        match("mailbox", "o'hara@a.example", Label(Reason.PAYMENT_FRAUD, tlp=Tlp.RED), "cedar"),
        match("prompt-template", "0" * 32, Label(Reason.ABUSE, expires=2**40 - 1, tlp=Tlp.AMBER_STRICT)),
    )

    @staticmethod
    def faults(content: str) -> list[str]:
        checked = validate_instance(json.loads(content), ValidationOptions(version="2.1", strict=True))
        return [str(one) for one in checked.errors + checked.warnings]

    def test_a_bundle_validates_strictly(self) -> None:
        assert self.faults(written(*self.CASES)) == []
        assert self.faults(written()) == []

    @settings(max_examples=25, deadline=None)
    @given(LABELS)
    @example(Label(first_seen=253_402_300_799, expires=2**40 - 1))
    def test_whatever_a_peer_says_in_a_label_validates(self, label: Label) -> None:
        content = json.loads(written(match("domain", "a.example", label)))
        content["objects"] = [one for one in content["objects"] if one["type"] == "indicator"]
        assert self.faults(json.dumps(content)) == []

    def test_it_reads_back(self) -> None:
        rows = read(written(*self.CASES).encode(), Format.JSON)
        assert [(row.type, row.value) for row in rows if isinstance(row, IngestRow)] == [
            (one.type, one.value) for one in self.CASES
        ]
        assert not rejected(rows)

    @given(LABELS)
    def test_labels_read_back(self, label: Label) -> None:
        last = 253_402_300_799
        back = label_of(read(written(match("domain", "a.example", label)).encode(), Format.STIX))
        assert (back.reason, back.severity, back.confidence, back.tlp) == (
            label.reason,
            label.severity,
            label.confidence,
            label.tlp,
        )
        if 1 < label.expires < last:
            assert back.expires == label.expires

    def test_it_holds_who_said_what(self) -> None:
        objects = json.loads(written(*self.CASES))["objects"]
        by_id = {one["id"]: one for one in objects}
        assert len(by_id) == len(objects)
        sightings = [one for one in objects if one["type"] == "sighting"]
        assert len(sightings) == len(self.CASES)
        for sighting in sightings:
            assert by_id[sighting["where_sighted_refs"][0]]["name"] == "alder"
            flagged = by_id[sighting["sighting_of_ref"]]
            assert by_id[flagged["created_by_ref"]]["name"] in ("birch", "cedar")
        links = [one for one in objects if one["type"] == "relationship"]
        assert {by_id[one["target_ref"]]["type"] for one in links} == {"campaign", "infrastructure"}

    def test_objects_come_before_what_refers_to_them(self) -> None:
        seen: set[str] = set()
        for one in json.loads(written(*self.CASES))["objects"]:
            refs = [value for key, value in one.items() if key.endswith("_ref")]
            assert seen.issuperset(refs)
            seen.add(one["id"])

    def test_ids_are_the_same_next_time_and_mean_nothing_to_others(self) -> None:
        def ids(author: Author) -> set[str]:
            target = io.StringIO()
            write_stix(self.CASES, target, author)
            objects = json.loads(target.getvalue())["objects"]
            return {one["id"] for one in objects if one["type"] == "indicator"}

        later = Author(AUTHOR.name, AUTHOR.lab, NOW + 5, AUTHOR.key)
        other = Author.of("alder", AUTHOR.lab, Ed25519PrivateKey.from_private_bytes(b"\x02" * 32), NOW)
        assert ids(later) == ids(AUTHOR)
        assert not ids(other) & ids(AUTHOR)

    def test_what_would_not_read_back_is_left_out(self) -> None:
        target = io.StringIO()
        odd = [match("mail-domain", "under_score"), match("ipv4", "198.51.100.0/24"), self.CASES[0]]
        assert write_stix(odd, target, AUTHOR) == 2
        assert len(read(target.getvalue().encode(), Format.STIX)) == 1
