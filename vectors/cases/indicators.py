"""Vectors of indicators (SPEC A). Canonical values are written by hand, from the text of SPEC."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from . import accounts, networks, structures
from .inputs import Case, Value, bad, good, slug
from .structures import data, domain, join, text

ABOUT: Final = "Spellings of indicators, their encodings and tokens, and texts and encodings of none"
SPEC: Final = "A"

A63 = "a" * 63
FINGERPRINT = "0123456789abcdef" * 2
NAME_253 = f"{A63}.{A63}.{A63}.{'b' * 61}"

VALID: list[tuple[str, str, list[str]]] = [
    ("email", "john.smith@example.com", ["john.smith@example.com", " John.Smith@EXAMPLE.com.\r\n"]),
    ("email", "john+tag@gmail.com", ["john+tag@gmail.com", "JOHN+Tag@Gmail.com"]),
    ("email", "a@b.test", ["a@b.test"]),
    ("email", "a@b.invalid", ["A@b.invalid"]),
    ("email", "!#$%&'*+/=?^_`{|}~-@example.com", ["!#$%&'*+/=?^_`{|}~-@example.com"]),
    ("email", "jörg@xn--bcher-kva.example", ["jörg@bücher.example", "JO\u0308RG@xn--BCHER-kva.example"]),
    ("email", "用户@xn--fsqu00a.xn--0zwm56d", ["用户@例子.测试", "用户@例子。测试"]),
    ("email", "οδος@example.com", ["ΟΔΟΣ@example.com"]),
    ("email", f"{'a' * 64}@example.com", [f"{'a' * 64}@example.com"]),
    ("mailbox", "john@example.com", ["john@example.com", "John+one@example.com", "john+one+two@example.com"]),
    ("mailbox", "john.smith@example.com", ["john.smith+x@example.com"]),
    ("mailbox", "johnsmith@gmail.com", ["John.Smith@googlemail.com", "j.o.h.n.smith+a.b@gmail.com"]),
    ("mailbox", "johnsmith@proton.me", ["john.smith@proton.me", "John_S-mith+x@proton.me"]),
    ("mailbox", "johnsmith@pm.me", ["john.smith@pm.me"]),
    ("mailbox", "john@yahoo.com", ["john-shop@yahoo.com", "john-a-b@yahoo.com", "john+x@yahoo.com"]),
    ("mailbox", "john-shop@example.com", ["john-shop@example.com"]),
    ("mailbox", "john.smith@outlook.com", ["John.Smith+x@outlook.com"]),
    ("mailbox", "+tag@example.com", ["+tag@example.com"]),
    ("mailbox", "+a.b@gmail.com", ["+a.b@googlemail.com"]),
    ("mailbox", "a.+tag@example.com", ["a.+tag@example.com"]),
    ("mailbox", "_-_@proton.me", ["_-_@proton.me"]),
    ("mailbox", "jö.rg@gmail.com", ["jö.rg+x@gmail.com"]),
    ("mail-domain", "mailinator.com", ["mailinator.com", "MAILINATOR.COM."]),
    ("mail-domain", "xn--bcher-kva.example", ["bücher.example", "BU\u0308CHER.example"]),
    (
        "domain",
        "example.com",
        ["example.com", "\tEXAMPLE.com. ", "ｅｘａｍｐｌｅ．ｃｏｍ", "exa\u00admple.com"],
    ),
    ("domain", "xn--strae-oqa.de", ["straße.de", "STRAẞE.de", "xn--strae-oqa.de"]),
    ("domain", "strasse.de", ["strasse.de"]),
    ("domain", "xn--fsqu00a.xn--0zwm56d", ["例子.测试", "例子。测试"]),
    ("domain", "1.2.3.example", ["1.2.3.example"]),
    ("domain", "abc.onion", ["abc.onion"]),
    ("domain", "x.localhost", ["x.localhost"]),
    ("domain", "a--b.example", ["a--b.example"]),
    ("domain", f"{A63}.example", [f"{A63.upper()}.example"]),
    ("domain", NAME_253, [NAME_253, f"{NAME_253}."]),
    ("ipv4", "203.0.113.77", ["203.0.113.77", " 203.0.113.77\n"]),
    ("ipv4", "0.0.0.0", ["0.0.0.0"]),  # noqa: S104
    ("ipv4", "255.255.255.255", ["255.255.255.255"]),
    ("ipv6", "2001:db8::1", ["2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "2001:db8::0:1"]),
    ("ipv6", "2001:db8::1:0:0:1", ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "2001:db8:0:0:1::1"]),
    ("ipv6", "2001:db8:0:1:1:1:1:1", ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"]),
    ("ipv6", "::", ["::", "0:0:0:0:0:0:0:0"]),
    ("ipv6", "64:ff9b::102:304", ["64:ff9b::1.2.3.4", "64:FF9B::0102:0304"]),
    ("ipv6", "::102:304", ["::1.2.3.4"]),
    *(
        (kind, FINGERPRINT, [FINGERPRINT, f" {FINGERPRINT.upper()}\n"])
        for kind in ("prompt-template", "prompt-minhash", "prompt-minhash-wide", "prompt-minhash-pairs")
    ),
    ("prompt-sentence", "0" * 32, ["0" * 32]),
    *accounts.VALID,
    *networks.VALID,
    ("behaviour", "0123456789abcdef" * 2, [" 0123456789ABCDEF0123456789abcdef\n"]),
    ("request-sequence", "0" * 32, ["0" * 32]),
]

BAD = "BAD_INDICATOR"
MAIL_FAULTS = {
    "empty": "",
    "no_at_sign": "john.example.com",
    "no_local_part": "@example.com",
    "no_domain": "john@",
    "two_at_signs": "john@doe@example.com",
    "single_label_domain": "john@localhost",
    "address_as_domain": "john@192.0.2.1",
    "domain_literal": "john@[192.0.2.1]",
    "quoted_local_part": '"john"@example.com',
    "display_name": "John <john@example.com>",
    "mailto": "mailto:john smith@example.com",
    "space_before_at_sign": "john @example.com",
    "space_after_at_sign": "john@ example.com",
    "leading_dot": ".john@example.com",
    "trailing_dot": "john.@example.com",
    "two_dots": "jo..hn@example.com",
    "underscore_in_domain": "john@my_host.example",
    "local_part_of_65_octets": f"{'a' * 65}@example.com",
    "international_local_part_of_66_octets": f"{'é' * 33}@example.com",
    "address_of_255_octets": f"{'a' * 64}@{A63}.{A63}.{'b' * 62}",
    "nul": "jo\0hn@example.com",
    "bidi_override": "jo\u202ehn@example.com",
    "lone_surrogate": "jo\ud800hn@example.com",
    "leading_combining_mark": "\u0301john@example.com",
    "private_use": "jo\ue000hn@example.com",
    "no_break_space": "jo\u00a0hn@example.com",
    "input_of_1025_characters": " " * 1009 + "john@example.com",
}
NAME_FAULTS = {
    "empty": "",
    "root": ".",
    "single_label": "localhost",
    "single_label_with_dot": "com.",
    "empty_label": "a..example",
    "leading_dot": ".example.com",
    "two_trailing_dots": "example.com..",
    "ipv4_address": "192.0.2.1",
    "ipv4_address_with_port": "192.0.2.1:80",
    "hexadecimal_last_label": "192.0.2.0x1",
    "ipv6_address": "2001:db8::1",
    "underscore": "_dmarc.example.com",
    "wildcard": "*.example.com",
    "url": "https://example.com/",
    "leading_hyphen": "-a.example",
    "trailing_hyphen": "a-.example",
    "hyphens_in_3_and_4": "ab--c.example",
    "label_of_64_octets": f"{'a' * 64}.example",
    "name_of_254_octets": f"a{NAME_253}"[:63] + f".{A63}.{A63}.{'b' * 62}",
    "a_label_that_decodes_to_nothing": "xn--.example",
    "a_label_of_ascii": "xn--abc-.example",
    "a_label_not_canonical": "xn---bbk.example",
    "emoji": "❤.example",
    "emoji_a_label": "xn--qei.example",
    "mixed_direction": "אa.example",
    "joiner_out_of_context": "a\u200db.example",
    "inner_space": "exa mple.com",
    "inner_newline": "exa\nmple.com",
    "nul": "exa\0mple.com",
    "lone_surrogate": "\udfff.example",
    "input_of_1025_characters": "a." * 512 + "b",
}
IPV4_FAULTS = {
    "empty": "",
    "three_octets": "192.0.2",
    "empty_octet": "1..218.28",
    "trailing_dot": "192.0.2.1.",
    "five_octets": "192.0.2.1.1",
    "octet_of_256": "192.0.2.256",
    "leading_zero": "192.0.2.01",
    "hexadecimal": "0xc0.0.2.1",
    "integer": "3221225985",
    "prefix": "192.0.2.1/32",
    "port": "192.0.2.1:80",
    "inner_space": "192.0. 2.1",
    "sign": "192.0.2.+1",
    "fullwidth_digits": "１92.0.2.1",
    "arabic_digits": "١٩٢.0.2.1",
    "ipv6": "::ffff:192.0.2.1",
    "name": "example.com",
    "nul": "192.0.2.1\0",
    "lone_surrogate": "192.0.2.\ud800",
    "input_of_1025_characters": " " * 1016 + "192.0.2.1",
}
BEHAVIOUR_FAULTS = {
    "empty": "",
    "digit_short": "0" * 31,
    "digit_long": "0" * 33,
    "no_digit": "0" * 31 + "g",
    "prefix": "0x" + "0" * 32,
    "uuid": "01234567-89ab-cdef-0123-456789abcdef",
    "fullwidth_digit": "0" * 31 + "\uff10",
}

IPV6_FAULTS = {
    "empty": "",
    "ipv4": "192.0.2.1",
    "seven_groups": "2001:db8:0:0:0:0:1",
    "nine_groups": "2001:db8:0:0:0:0:0:0:1",
    "two_elisions": "2001::db8::1",
    "group_of_five_digits": "2001:0db80::1",
    "not_hexadecimal": "2001:db8::g",
    "zone": "fe80::1%eth0",
    "prefix": "2001:db8::/32",
    "brackets": "[2001:db8::1]",
    "mapped": "::ffff:192.0.2.1",
    "mapped_in_hexadecimal": "::ffff:c000:201",
    "embedded_leading_zero": "64:ff9b::192.0.2.01",
    "fullwidth_digit": "2001:db8::１",
    "nul": "2001:db8::1\0",
    "lone_surrogate": "2001:db8::\ud800",
    "input_of_1025_characters": " " * 1014 + "2001:db8::1",
}
FINGERPRINT_FAULTS = {
    "empty": "",
    "31_digits": FINGERPRINT[1:],
    "33_digits": f"{FINGERPRINT}0",
    "not_hexadecimal": f"{FINGERPRINT[1:]}g",
    "prefix": f"0x{FINGERPRINT[2:]}",
    "inner_space": f"{FINGERPRINT[:15]} {FINGERPRINT[16:]}",
    "fullwidth_digit": f"{FINGERPRINT[1:]}１",
    "nul": f"{FINGERPRINT}\0",
    "lone_surrogate": f"{FINGERPRINT[1:]}\ud800",
    "input_of_1025_characters": " " * 993 + FINGERPRINT,
}
FAULTS = [
    ("email", MAIL_FAULTS),
    ("mailbox", MAIL_FAULTS),
    ("mail-domain", NAME_FAULTS),
    ("domain", NAME_FAULTS),
    ("ipv4", IPV4_FAULTS),
    ("ipv6", IPV6_FAULTS),
    ("prompt-template", FINGERPRINT_FAULTS),
    # The same rule.
    ("prompt-minhash", {"31_digits": FINGERPRINT[1:]}),
    ("prompt-minhash-wide", {"31_digits": FINGERPRINT[1:]}),
    ("prompt-minhash-pairs", {"31_digits": FINGERPRINT[1:]}),
    ("prompt-sentence", {"31_digits": FINGERPRINT[1:]}),
    *accounts.FAULTS,
    *networks.FAULTS,
    ("behaviour", BEHAVIOUR_FAULTS),
    ("request-sequence", BEHAVIOUR_FAULTS),
]


def encode(kind: str, value: str, profile: int = 1) -> bytes:
    """Encode an indicator."""
    return join(structures.indicator({"type": kind, "profile": profile, "value": value}))


GOOD = encode("ipv4", "192.0.2.1")
BODY = GOOD[len(domain("indicator")["domain"]) :]
BAD_ENCODINGS = [
    ("trailing_byte", GOOD + b"\0", "BAD_ENCODING"),
    ("short", GOOD[:-1], "BAD_ENCODING"),
    ("empty", b"", "BAD_ENCODING"),
    ("without_domain", BODY, "BAD_ENCODING"),
    ("domain_of_another_version", text("mandorla/v2 indicator") + BODY, "BAD_ENCODING"),
    ("domain_of_another_structure", text("mandorla/v1 key epoch") + BODY, "BAD_ENCODING"),
    ("unknown_type", encode("ip", "192.0.2.1"), "BAD_ENCODING"),
    ("other_profile", encode("ipv4", "192.0.2.1", profile=2), "PROFILE_MISMATCH"),
    ("profile_zero", encode("ipv4", "192.0.2.1", profile=0), "PROFILE_MISMATCH"),
    ("value_not_of_its_type", encode("ipv4", "example.com"), "BAD_ENCODING"),
    ("value_not_canonical", encode("domain", "EXAMPLE.com"), "BAD_ENCODING"),
    ("value_with_space", encode("ipv4", "192.0.2.1 "), "BAD_ENCODING"),
    ("value_not_utf8", encode("domain", "x.example").replace(b"x.", b"\xff."), "BAD_ENCODING"),
    ("value_over_1024_octets", encode("domain", "a" * 1025), "BAD_LENGTH"),
    ("type_over_32_octets", encode("a" * 33, "192.0.2.1"), "BAD_LENGTH"),
    ("type_not_utf8", domain("indicator")["domain"] + data(b"\xff") + BODY[8:], "BAD_ENCODING"),
]


def cases() -> Iterator[Case]:
    """Yield all vectors of indicators."""
    numbers: Counter[str] = Counter()
    for kind, value, spellings in VALID:
        numbers[kind] += 1
        encoding = encode(kind, value)
        output = {
            "profile": 1,
            "value": value,
            "encoding": encoding,
            "token": hashlib.sha256(encoding).digest(),
        }
        yield good(f"{kind}-{numbers[kind]}", "parse", {"type": kind, "texts": spellings}, output)
    for kind, faults in FAULTS:
        for fault, spelling in faults.items():
            yield bad(f"{kind}-{slug(fault)}", "parse", {"type": kind, "texts": [spelling]}, BAD)
    for number, kind in enumerate(("", "ip", "IPV4", "ipv4 "), 1):
        yield bad(f"type-unknown-{number}", "parse", {"type": kind, "texts": ["192.0.2.1"]}, "UNKNOWN_TYPE")

    one: Value = {"type": "ipv4", "profile": 1, "value": "192.0.2.1"}
    yield good("indicator", "encode", {"structure": "indicator", "value": one}, {"encoding": GOOD})
    for fault, encoding, code in BAD_ENCODINGS:
        wrong = {"structure": "indicator", "encoding": encoding}
        yield bad(f"indicator-{slug(fault)}", "decode", wrong, code)
