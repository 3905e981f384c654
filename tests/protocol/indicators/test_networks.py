"""Laws of networks, URLs, clients and watermarks (SPEC A.7):

spellings of one value agree, two values differ.
"""

import string
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_network
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from .spellings import canonical

HOSTILE = {
    "ipv4-net24": st.text(st.sampled_from("0129.25/4 \u0660\ud800\0"), max_size=20),
    "ipv6-net64": st.text(st.sampled_from("0fF:.1/64 %\ud800\0"), max_size=48),
    "url": st.lists(
        st.sampled_from(
            [
                *(
                    "http:",
                    "HTTPS:",
                    "ws:",
                    "file:",
                    "//",
                    "/",
                    "\\",
                    "@",
                    ":",
                    "a.b",
                    "é.b",
                    "xn--",
                    ".",
                    "%2e",
                ),
                *(
                    "[",
                    "]",
                    "::1",
                    "0x7f",
                    "256",
                    ":80",
                    ":443",
                    "?",
                    "#",
                    "%",
                    "%25",
                    "%34",
                    "41",
                    "%zz",
                    " ",
                ),
                *("\u3002", "ß", "\u200d", "\0", "\t", "\ud800", "||", "'", "&", "=", "+", "..", "é"),
            ]
        ),
        max_size=14,
    ).map("".join),
    "ja4": st.text(st.sampled_from("tqd13si0_abfFhH2\u212a\ud800\0"), min_size=34, max_size=38),
    "user-agent": st.lists(
        st.sampled_from(
            [
                *(
                    "Mozilla/5.0",
                    "Safari",
                    "Version",
                    "Chrome/126.0",
                    "python",
                    "a",
                    "B/1",
                    "c/d",
                    "/",
                    " ",
                    "\t",
                ),
                *(
                    "(",
                    ")",
                    ";",
                    "compatible",
                    "compatible;",
                    "v",
                    "0",
                    "1.2b",
                    "12345678901",
                    "!",
                    "\n",
                    "é",
                    "\ud800",
                ),
            ]
        ),
        max_size=14,
    ).map("".join),
    "watermark": st.text(st.sampled_from("aB:0fF-x\u212a\ud800\0"), max_size=24),
}


@pytest.mark.parametrize("type_name", HOSTILE)
@given(data=st.data())
def test_any_text_near_a_value_is_canonicalised_or_refused(type_name: str, data: st.DataObject) -> None:
    canonical(type_name, data.draw(HOSTILE[type_name]))


# Networks


@pytest.mark.spec("A.7-1")
@given(address=st.ip_addresses(v=4), other=st.ip_addresses(v=4))
def test_an_ipv4_address_is_in_its_network_of_24_bits(address: IPv4Address, other: IPv4Address) -> None:
    network = ip_network((address, 24), strict=False)
    assert canonical("ipv4-net24", str(address)) == canonical("ipv4-net24", str(network)) == str(network)
    assert (canonical("ipv4-net24", f"{address}/24") is None) == (address != network.network_address)
    assert (canonical("ipv4-net24", str(other)) == str(network)) == (other in network)


@pytest.mark.spec("A.7-1")
@given(address=st.ip_addresses(v=6), other=st.ip_addresses(v=6))
@example(IPv6Address("2001:db8::"), IPv6Address("2001:db8::1"))
def test_an_ipv6_address_is_in_its_network_of_64_bits(address: IPv6Address, other: IPv6Address) -> None:
    assume(address.ipv4_mapped is None and other.ipv4_mapped is None)
    network = ip_network((address, 64), strict=False)
    assert (
        canonical("ipv6-net64", address.exploded) == canonical("ipv6-net64", network.exploded) == str(network)
    )
    assert (canonical("ipv6-net64", f"{address}/64") is None) == (address != network.network_address)
    assert (canonical("ipv6-net64", str(other)) == str(network)) == (other in network)


@pytest.mark.spec("A.7-1")
@given(length=st.integers(0, 128))
def test_no_other_length_is_taken(length: int) -> None:
    assert (canonical("ipv4-net24", f"0.0.0.0/{length}") is None) == (length != 24)
    assert (canonical("ipv6-net64", f"::/{length}") is None) == (length != 64)


# URLs

SEGMENT = st.text(st.sampled_from("abAB01-._~!$&'()*+,;=:@%é日 "), min_size=1, max_size=8).filter(
    lambda segment: segment not in (".", "..")
)
PATH = st.lists(SEGMENT, min_size=1, max_size=3)
HOST = st.sampled_from(["a.example", "xn--bcher-kva.example", "192.0.2.1", "[2001:db8::1]"])
PORT = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}


def encoded(text: str) -> str:
    """Percent-encode percent signs, and characters that a segment must not have."""
    return quote(text, safe="!$&'()*+,;=:@")


UNRESERVED = b"-._~aZ09"


@given(
    scheme=st.sampled_from(list(PORT)),
    host=HOST,
    path=PATH,
    query=SEGMENT.map(lambda text: text.replace("'", "")),  # which the URL Standard encodes in a query
    fragment=SEGMENT,
    user=st.sampled_from(["", "user@", "user:secret@", "b.example@"]),
    detour=st.sampled_from(["", "./", "x/../", "%2E/", "y/%2e%2E/"]),
    data=st.data(),
)
def test_spellings_of_a_url_agree(
    scheme: str,
    host: str,
    path: list[str],
    query: str,
    fragment: str,
    user: str,
    detour: str,
    data: st.DataObject,
) -> None:
    segments = list(map(encoded, path))
    value = f"{scheme}://{host}/{'/'.join(segments)}?{encoded(query)}{UNRESERVED.decode()}"
    assert canonical("url", value) == value
    place = data.draw(st.integers(0, len(path) - 1))
    segments[place] = detour + segments[place]
    escapes = "".join(f"%{byte:02x}" for byte in UNRESERVED)
    origin = f"{scheme.upper()}://{user}{host.upper()}:{PORT[scheme]}"
    assert canonical("url", f"{origin}/{'/'.join(segments)}?{encoded(query)}{escapes}#{fragment}") == value


@given(first=PATH, second=PATH)
def test_different_paths_are_different_urls(first: list[str], second: list[str]) -> None:
    one, other = ("/".join(map(encoded, path)) for path in (first, second))
    same = canonical("url", f"http://a.example/{one}") == canonical("url", f"http://a.example/{other}")
    assert same == (one == other)


@pytest.mark.parametrize(
    "other",
    [
        "http://a.example/b/c?d=1&e=2",
        "https://b.example/b/c?d=1&e=2",
        "https://a.example:444/b/c?d=1&e=2",
        "https://a.example/B/c?d=1&e=2",
        "https://a.example/b/c/?d=1&e=2",
        "https://a.example//b/c?d=1&e=2",
        "https://a.example/b%2Fc?d=1&e=2",
        "https://a.example/b/c?e=2&d=1",
        "https://a.example/b/c?d=1&e=2&",
        "https://a.example/b/c?d=1;e=2",
        "https://a.example/b/c",
    ],
)
def test_what_a_server_may_tell_apart_stays_apart(other: str) -> None:
    assert canonical("url", other) not in (canonical("url", "https://a.example/b/c?d=1&e=2"), None)


@pytest.mark.spec("A.7-3")
@given(
    name=st.one_of(
        st.text(st.characters(), min_size=1, max_size=8),
        st.lists(st.text(st.sampled_from("abA-1é\u3002xn--\u200d"), min_size=1), max_size=3).map(".".join),
    )
)
def test_the_host_of_a_url_is_a_canonical_name_or_address(name: str) -> None:
    assume(not set(name) & set("/\\?#@:%[] \t\n\r"))
    value = canonical("url", f"http://{name}.example/")
    assert value in (None, f"http://{canonical('domain', f'{name}.example')}/")


@pytest.mark.spec("A.7-3")
def test_the_url_standard_maps_no_character_of_a_host_otherwise_than_idna() -> None:
    # Both tables have their own Unicode version. A character that one of them lacks must be refused, and
    # never give another name.
    taken = 0
    for character in map(chr, range(0x80, 0x110000)):
        if unicodedata.normalize("NFKC", character.casefold()) == character:
            continue
        value = canonical("url", f"http://a{character}b.example/")
        assert value in (None, f"http://{canonical('domain', f'a{character}b.example')}/")
        taken += value is not None
    assert taken > 4000


@pytest.mark.spec("A.7-2")
@given(place=st.integers(0, 24), control=st.sampled_from([*map(chr, range(32)), "\x7f"]))
def test_a_control_character_within_a_url_is_refused(place: int, control: str) -> None:
    url = "https://a.example/b?c=d#ef"
    assert canonical("url", url[: place + 1] + control + url[place + 1 :]) is None


@pytest.mark.spec("A.7-4")
@given(length=st.integers(150, 200))
def test_a_url_is_bounded_as_it_is_written(length: int) -> None:
    start = "https://a.example/"
    fits = len(start) + 6 * length <= 1024
    assert (canonical("url", start + "é" * length) is not None) == fits


# Clients


@pytest.mark.spec("A.7-5")
@given(text=st.from_regex(r"[tqd]1[0-3][di][0-9]{4}[a-z0-9]{2}_[0-9a-f]{12}_[0-9a-f]{12}", fullmatch=True))
def test_a_ja4_is_one_in_any_case_and_nothing_else_in_any_part(text: str) -> None:
    assert canonical("ja4", text) == canonical("ja4", text.upper()) == text
    for place in range(len(text)):
        assert canonical("ja4", text[:place] + text[place + 1 :]) is None
        assert canonical("ja4", f"{text[:place]}-{text[place + 1 :]}") is None


# Names that no table of SPEC A.7 has.
NAME = st.from_regex(r"x[a-zA-Z0-9.+_-]{0,12}", fullmatch=True)
COMMENT = st.text(st.sampled_from("aB1;:,._ "), max_size=20).map(lambda text: f"({text})")
VERSION = st.lists(st.integers(0, 99).map(str), max_size=3).map(
    lambda parts: "".join(f".{part}" for part in parts)
)


@given(name=NAME, major=st.integers(0, 999), minor=VERSION, comment=COMMENT, rest=st.lists(NAME, max_size=2))
def test_a_product_is_one_whatever_its_minor_version_and_device(
    name: str, major: int, minor: str, comment: str, rest: list[str]
) -> None:
    value = f"{name.lower()}/{major}"
    others = "".join(f" {other}/1" for other in rest)
    assert canonical("user-agent", f"{name}/{major}{minor} {comment}{others}") == value
    assert (
        canonical("user-agent", f"Mozilla/5.0 {comment} {name.upper()}/{major}{minor} Chrome/1 Safari/2")
        == value
    )
    assert (
        canonical("user-agent", f"Mozilla/5.0 (compatible; {name}/{major}{minor}; +http://a.example)")
        == value
    )
    assert canonical("user-agent", f"{name}/{major + 1}{minor} {comment}") == f"{name.lower()}/{major + 1}"
    assert canonical("user-agent", f"y{name}/{major}{minor} {comment}") == f"y{name.lower()}/{major}"


@given(
    name=NAME,
    edition=st.from_regex(r"[A-Za-z]{2,9}", fullmatch=True),
    major=st.integers(0, 99),
    minor=VERSION,
)
def test_a_product_with_an_edition_has_the_version_behind_it(
    name: str, edition: str, major: int, minor: str
) -> None:
    value = f"{name.lower()}/{edition.lower()} {major}"
    assert canonical("user-agent", f"{name}/{edition} {major}{minor}") == value


@pytest.mark.spec("A.7-6")
@given(words=st.lists(st.sampled_from(["1.2", "/", "/1", "a/b/c", "[x]", "é", "(x/1)", "(a;b)"]), max_size=4))
def test_a_user_agent_that_names_no_product_is_refused(words: list[str]) -> None:
    assert canonical("user-agent", " ".join(words)) is None


# Watermarks


@pytest.mark.spec("A.7-7")
@given(payload=st.text(st.sampled_from(string.hexdigits), max_size=140))
def test_a_watermarks_payload_has_8_to_128_hexadecimal_digits(payload: str) -> None:
    value = canonical("watermark", f"acme-text:{payload}")
    assert value == (f"acme-text:{payload.lower()}" if 8 <= len(payload) <= 128 else None)
    assert value is None or canonical("watermark", f"acme-text:0{payload}") != value
