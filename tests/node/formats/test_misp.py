"""MISP events: what is read of them, and that what we write is read by MISP's own library and by us."""

from __future__ import annotations

import io
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymisp import MISPEvent

from mandorla_node.formats import Format, IngestRow, RowDefaults, misp_reader
from mandorla_node.formats.export_author import Author
from mandorla_node.formats.matches import FoundMatch
from mandorla_node.formats.misp_writer import write_misp
from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.labels import Label, Reason, Severity, Tlp
from tests.node.formats.readers import label_of, match, named, read, rejected

AUTHOR = Author.of("alder", b"\x07" * 32, Ed25519PrivateKey.from_private_bytes(b"\x01" * 32), 1_800_000_000)
OBSERVED = RowDefaults(observed=True)


def event(*attributes: object, **others: object) -> dict[str, object]:
    return {"Event": {"info": "x", "Attribute": list(attributes)} | others}


def attribute(kind: str, value: object, *tags: str, **others: object) -> dict[str, object]:
    return {"type": kind, "value": value, "Tag": [{"name": tag} for tag in tags]} | others


def written(*matches: FoundMatch) -> str:
    target = io.StringIO()
    assert write_misp(matches, target, AUTHOR) == 0
    return target.getvalue()


class TestReading:
    @pytest.mark.parametrize(
        ("kind", "value", "expected"),
        [
            ("ip-src", "198.51.100.7", [("ipv4", "198.51.100.7")]),
            ("ip-dst", "2001:db8::1", [("ipv6", "2001:db8::1")]),
            ("ip-dst", "198.51.100.0/24", [("ipv4-net24", "198.51.100.0/24")]),
            ("ip-dst|port", "198.51.100.7|443", [("ipv4", "198.51.100.7")]),
            ("domain|ip", "a.example|198.51.100.7", [("domain", "a.example"), ("ipv4", "198.51.100.7")]),
            ("hostname", "a.example", [("domain", "a.example")]),
            ("url", "http://a.example/a|b", [("url", "http://a.example/a|b")]),
            ("email-src", "a@b.example", [("email", "a@b.example")]),
            ("phone-number", "+15005550006", [("phone", "+15005550006")]),
            ("btc", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", [("wallet", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")]),
            ("user-agent", "curl/8", [("user-agent", "curl/8")]),
        ],
    )
    def test_attribute_types_stand_for_registry_types(
        self, kind: str, value: str, expected: list[tuple[str, str]]
    ) -> None:
        rows = read(event(attribute(kind, value)), Format.MISP)
        assert named(rows) == [(1, *one) for one in expected]

    def test_rows_are_numbered_by_attribute_those_of_objects_among_them(self) -> None:
        content = event(
            attribute("domain", "a.example"),
            attribute("md5", "x"),
            Object=[{"Attribute": [attribute("domain", "b.example"), attribute("ip-src", "198.51.0.0/16")]}],
        )
        rows = read(content, Format.MISP)
        assert named(rows) == [(1, "domain", "a.example"), (3, "domain", "b.example")]
        assert rejected(rows) == [2, 4]

    def test_labels_come_from_tags_and_the_event_speaks_for_all(self) -> None:
        tagged = attribute(
            "domain",
            "a.example",
            "tlp:green",
            'mandorla:reason="distillation"',
            'mandorla:confidence="81"',
            'mandorla:expires="2030-01-01T00:00:00Z"',
            first_seen="2026-01-01T00:00:00.000000+00:00",
        )
        content = event(tagged, threat_level_id="1", Tag=[{"name": "tlp:amber+strict"}])
        assert label_of(read(content, Format.MISP)) == Label(
            Reason.DISTILLATION, Severity.HIGH, 81, 1_767_225_600, 1_893_456_000, Tlp.AMBER_STRICT
        )

    def test_the_taxonomy_of_confidence_is_understood(self) -> None:
        tagged = attribute("domain", "a.example", 'misp:confidence-level="usually-confident"', "tlp:white")
        label = label_of(read(event(tagged), Format.MISP))
        assert (label.confidence, label.tlp) == (75, Tlp.CLEAR)

    @pytest.mark.parametrize("no", [False, "0", 0])
    def test_context_is_observed_and_never_flagged(self, no: object) -> None:
        content = event(attribute("domain", "a.example", to_ids=no))
        assert rejected(read(content, Format.MISP)) == [1]
        assert len(named(read(content, Format.MISP, OBSERVED))) == 1

    def test_a_deleted_attribute_has_expired_and_was_not_observed(self) -> None:
        content = event(attribute("domain", "a.example", deleted=True, timestamp="1700000000"))
        assert label_of(read(content, Format.MISP)).expires == 1_700_000_000
        assert rejected(read(content, Format.MISP, OBSERVED)) == [1]

    @pytest.mark.parametrize(
        "content",
        [
            {"response": [event(attribute("domain", "a.example"))]},
            {"response": {"Attribute": [attribute("domain", "a.example")]}},
            [event(attribute("domain", "a.example"))],
        ],
    )
    def test_answers_to_searches_are_read_too(self, content: object) -> None:
        for written_as in (Format.MISP, Format.JSON):
            assert named(read(content, written_as)) == [(1, "domain", "a.example")]

    def test_events_do_not_share_what_they_say(self) -> None:
        red = event(attribute("domain", "a.example"), Tag=[{"name": "tlp:red"}])
        rows = read([red, event(attribute("domain", "b.example"))], Format.MISP)
        assert [row.label.tlp for row in rows if isinstance(row, IngestRow)] == [Tlp.RED, Tlp.AMBER]

    @pytest.mark.parametrize(
        "bad",
        [
            5,
            {},
            {"type": "domain"},
            attribute("domain", 5),
            attribute("domain", "sentinel.example", 'mandorla:severity="sentinel"'),
            attribute("domain", "sentinel.example", 'mandorla:confidence="101"'),
            attribute("domain", "sentinel.example", first_seen="sentinel"),
            attribute("domain|ip", "sentinel.example"),
            attribute("md5", "sentinel"),
            attribute("domain", "sentinel", x=[0] * 30_000),
        ],
    )
    def test_a_bad_attribute_is_rejected_by_position_and_the_next_is_read(self, bad: object) -> None:
        rows = read(event(bad, attribute("domain", "a.example")), Format.MISP)
        assert rejected(rows) == [1]
        assert named(rows) == [(2, "domain", "a.example")]
        assert "sentinel" not in repr(rows)

    @pytest.mark.parametrize("content", [{}, [], {"type": "bundle", "objects": []}, b"", b"{"])
    def test_what_is_no_event_is_refused(self, content: object) -> None:
        with pytest.raises(InputError) as caught:
            read(content, Format.MISP)
        assert caught.value.code is Code.BAD_FILE

    def test_an_event_has_a_largest_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(misp_reader, "MAX_ATTRIBUTES", 3)
        with pytest.raises(InputError) as caught:
            read(event(*[attribute("domain", "a.example")] * 4), Format.MISP)
        assert caught.value.code is Code.BAD_FILE


class TestWriting:
    CASES: tuple[FoundMatch, ...] = (
        match("ipv4", "198.51.100.7", Label(Reason.PROXY_INFRASTRUCTURE, tlp=Tlp.GREEN)),
        match("ipv4-net24", "198.51.100.0/24"),
        match("domain", "a.example", Label(Reason.DISTILLATION, Severity.CRITICAL, 9, 5, 1_900_000_000)),
        match("url", "http://a.example/a|b"),
        match("mail-domain", "a.example"),
        match("mailbox", 'a"b@a.example', Label(tlp=Tlp.RED), "cedar"),
        match("email", "a@b.example"),
        match("phone", "+15005550006"),
        match("prompt-template", "0" * 32),
    )

    def test_it_reads_back_with_its_labels(self) -> None:
        rows = read(written(*self.CASES).encode(), Format.JSON)
        assert [(row.type, row.value) for row in rows if isinstance(row, IngestRow)] == [
            (one.type, one.value) for one in self.CASES
        ]
        labels = [row.label for row in rows if isinstance(row, IngestRow)]
        for label, one in zip(labels, self.CASES, strict=True):
            assert (label.reason, label.severity, label.confidence, label.expires) == (
                one.label.reason,
                one.label.severity,
                one.label.confidence,
                one.label.expires,
            )
            # The event is marked with the strictest level, and none of it may be passed on further.
            assert label.tlp is Tlp.RED

    def test_misps_own_library_takes_it(self) -> None:
        loaded = MISPEvent()
        loaded.load(json.loads(written(*self.CASES)))
        assert [one.value for one in loaded.attributes] == [one.value for one in self.CASES]
        assert all(one.to_ids and len(one.sightings) == 1 for one in loaded.attributes)
        assert [tag.name for tag in loaded.tags] == ["tlp:red"]
        assert loaded.orgc.name == "alder"

    def test_no_matches_make_an_event_without_attributes(self) -> None:
        assert read(written().encode(), Format.MISP) == []

    def test_what_would_not_read_back_is_left_out(self) -> None:
        target = io.StringIO()
        assert write_misp([match("ipv4", "198.51.100.0/24"), self.CASES[0]], target, AUTHOR) == 1
        assert len(read(target.getvalue().encode(), Format.MISP)) == 1
