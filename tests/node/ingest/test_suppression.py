"""What is held back from flagged sets, and how it is counted."""

from __future__ import annotations

import json
import os
from collections import Counter
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.config.lab_settings import SuppressionSettings
from mandorla_node.config.settings import load_settings
from mandorla_node.ingest import suppression_lists
from mandorla_node.ingest.suppression import Suppressor
from mandorla_node.ingest.suppression_index import Index
from mandorla_node.store import IndicatorSet
from mandorla_protocol.errors import Code, NodeError
from mandorla_protocol.indicators import Indicator

BUILTIN = SuppressionSettings(warning_lists=())


def holds(suppressor: Suppressor, kind: str, value: str) -> dict[str, int]:
    suppression = suppressor.begin()
    held = suppression.holds(Indicator.parse(kind, value))
    assert held == bool(suppression.total)
    return suppression.by_list()


def own(folder: Path, content: str, *names: str) -> Suppressor:
    (folder / "own.txt").write_text(content)
    policy = SuppressionSettings(builtin=False, warning_lists=(), allow_lists=names or ("own.txt",))
    return Suppressor(folder, policy)


def refusal(suppressor: Suppressor) -> str:
    with pytest.raises(NodeError) as caught:
        suppressor.begin()
    assert caught.value.code is Code.BAD_CONFIG
    return caught.value.detail


class TestIndex:
    @given(
        st.lists(
            st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
                lambda one: IPv4Network((one[0] >> (32 - one[1]) << (32 - one[1]), one[1]))
            ),
            max_size=20,
        ),
        st.integers(0, 2**32 - 1),
    )
    def test_an_address_is_on_a_list_if_a_network_of_it_holds_it(
        self, networks: list[IPv4Network], number: int
    ) -> None:
        index = Index()
        masks = [index.new_list(str(place)) for place in range(len(networks))]
        for mask, network in zip(masks, networks, strict=True):
            index.add_network(mask, network)
        address = ip_address(number)
        expected = sum(mask for mask, network in zip(masks, networks, strict=True) if address in network)
        assert index.mask_of(Indicator.parse("ipv4", str(address))) == expected

    @given(st.integers(0, 2**128 - 1), st.integers(0, 128))
    def test_ipv6_networks_hold_their_addresses_alone(self, number: int, size: int) -> None:
        address = IPv6Address(number)
        if address.ipv4_mapped is not None:
            return
        network = IPv6Network((number >> (128 - size) << (128 - size), size))
        index = Index()
        index.add_network(index.new_list("x"), network)
        assert index.mask_of(Indicator("ipv6", 1, str(address)))
        outside = IPv6Address(number ^ (1 << 127))
        assert bool(index.mask_of(Indicator("ipv6", 1, str(outside)))) is (size == 0)

    @pytest.mark.parametrize(
        ("listed", "kind", "value", "held"),
        [
            ("198.51.100.0/23", "ipv4-net24", "198.51.100.0/24", True),
            ("198.51.100.0/24", "ipv4-net24", "198.51.100.0/24", True),
            ("198.51.100.7/32", "ipv4-net24", "198.51.100.0/24", False),
            ("2001:db8::/48", "ipv6-net64", "2001:db8::/64", True),
            ("2001:db8::/96", "ipv6-net64", "2001:db8::/64", False),
        ],
    )
    def test_a_network_is_held_if_it_lies_in_a_listed_one(
        self, listed: str, kind: str, value: str, held: bool
    ) -> None:
        index = Index()
        index.add_network(index.new_list("x"), ip_network(listed))
        assert bool(index.mask_of(Indicator(kind, 1, value))) is held

    def test_names_are_held_exactly_or_with_all_below(self) -> None:
        index = Index()
        index.add_value(index.new_list("a"), "domain", "a.example")
        index.add_under(index.new_list("b"), "domain", "b.example")

        def mask(value: str, kind: str = "domain") -> int:
            return index.mask_of(Indicator(kind, 1, value))

        assert [mask("a.example"), mask("x.a.example"), mask("a.example", "mail-domain")] == [1, 0, 0]
        assert [mask("b.example"), mask("x.y.b.example"), mask("xb.example")] == [2, 2, 0]

    def test_a_row_on_several_lists_is_counted_for_each(self) -> None:
        index = Index()
        for name in ("b", "a"):
            index.add_network(index.new_list(name), ip_network("198.51.100.0/24"))
        assert index.count(Counter({3: 5, 1: 1})) == {"a": 5, "b": 6}


class TestBuiltin:
    @pytest.mark.parametrize(
        ("kind", "value", "name"),
        [
            ("ipv4", "8.8.8.8", "public-resolvers"),
            ("ipv6", "2606:4700:4700::1111", "public-resolvers"),
            ("domain", "dns.google", "public-resolvers"),
            ("ipv4", "172.225.96.161", "private-relay"),
            ("ipv6", "2a02:26f7:c100:4000::1", "private-relay"),
            ("mail-domain", "gmail.com", "mail-providers"),
            ("mail-domain", "cs.stanford.edu", "universities"),
            ("mail-domain", "ox.ac.uk", "universities"),
        ],
    )
    def test_what_everybody_uses_is_held(self, tmp_path: Path, kind: str, value: str, name: str) -> None:
        assert holds(Suppressor(tmp_path, BUILTIN), kind, value) == {name: 1}
        off = SuppressionSettings(builtin=False, warning_lists=())
        assert holds(Suppressor(tmp_path, off), kind, value) == {}

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("ipv4", "198.51.100.7"),
            ("mail-domain", "mailinator.com"),
            ("domain", "evil.example"),
            ("email", "someone@gmail.com"),
            ("mailbox", "someone@gmail.com"),
        ],
    )
    def test_what_one_person_has_is_not(self, tmp_path: Path, kind: str, value: str) -> None:
        assert holds(Suppressor(tmp_path, BUILTIN), kind, value) == {}

    def test_entries_are_canonical(self) -> None:
        import tomllib
        from importlib.resources import files

        text = files("mandorla_node.ingest").joinpath("suppression_builtin.toml").read_text("utf-8")
        for entries in tomllib.loads(text).values():
            for network in entries.get("networks", ()):
                ip_network(network)
            for kind, key in (("domain", "domains"), ("mail-domain", "mail_domains")):
                for value in entries.get(key, ()):
                    assert Indicator.parse(kind, value).value == value


class TestWarningLists:
    def test_the_lists_of_shared_infrastructure_are_the_default(self, tmp_path: Path) -> None:
        suppressor = Suppressor(tmp_path, SuppressionSettings())
        assert "microsoft-azure" in holds(suppressor, "ipv4", "20.42.65.90")
        assert "public-dns-v4" in holds(suppressor, "ipv4", "1.0.0.1")
        assert "university_domains" in holds(suppressor, "domain", "mit.edu")
        assert holds(suppressor, "mail-domain", "mailinator.com") == {}

    def test_every_default_list_is_there_and_of_a_kind_that_is_read(self) -> None:
        folder = suppression_lists.warning_lists()
        assert folder is not None
        for name in suppression_lists.DEFAULT_LISTS:
            index = Index()
            suppression_lists.add_warning_list(index, folder, name)
            assert len(index) > 0, name

    @pytest.mark.parametrize("name", ["no-such-list", "../lists/akamai", "disposable-email"])
    def test_a_list_that_cannot_be_used_is_refused(self, tmp_path: Path, name: str) -> None:
        assert "warning_lists" in refusal(Suppressor(tmp_path, SuppressionSettings(warning_lists=(name,))))

    def test_without_the_package_the_rest_works_unless_lists_were_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(suppression_lists, "find_spec", lambda name: None)
        assert holds(Suppressor(tmp_path, SuppressionSettings()), "ipv4", "8.8.8.8")
        named = SuppressionSettings(warning_lists=("akamai",))
        assert "mandorla[suppression]" in refusal(Suppressor(tmp_path, named))

    def test_entries_that_are_no_names_are_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        content = {"type": "hostname", "list": [".a.example", "not a name", "B.example"]}
        (tmp_path / "mine" / "list.json").write_text(json.dumps(content))
        index = Index()
        suppression_lists.add_warning_list(index, tmp_path, "mine")
        assert index.mask_of(Indicator("mail-domain", 1, "x.b.example")) == 1
        assert index.mask_of(Indicator("domain", 1, "a.example")) == 1


class TestAllowLists:
    def test_a_line_is_a_network_or_a_type_and_a_value(self, tmp_path: Path) -> None:
        suppressor = own(
            tmp_path,
            "# ours\n\n198.51.100.0/24\n192.0.2.1\n172.224.224.0/27,GB,GB-EN,London,\n"
            "2001:db8::/32\nemail,Someone@Partner.example\nmail-domain,.partner.example\ndomain,us.example\n",
        )
        for kind, value in (
            ("ipv4", "198.51.100.7"),
            ("ipv4", "192.0.2.1"),
            ("ipv4", "172.224.224.9"),
            ("ipv6", "2001:db8::5"),
            ("email", "someone@partner.example"),
            ("mail-domain", "mail.partner.example"),
            ("domain", "us.example"),
        ):
            assert holds(suppressor, kind, value) == {"own.txt": 1}
        assert holds(suppressor, "domain", "x.us.example") == {}

    @pytest.mark.parametrize(
        "line",
        ["sentinel", "sentinel,1", "ipv4,sentinel", "domain,.", "198.51.100.0/33", "a\x00b", "x" * 70_000],
    )
    def test_a_line_that_is_neither_stops_and_is_not_shown(self, tmp_path: Path, line: str) -> None:
        detail = refusal(own(tmp_path, f"# ours\n{line}\n"))
        assert "own.txt, line 2" in detail
        assert "sentinel" not in detail

    def test_a_folder_stands_for_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "allow").mkdir()
        (tmp_path / "allow" / "a.txt").write_text("198.51.100.0/24\n")
        (tmp_path / "allow" / ".swp").write_text("not a list")
        suppressor = own(tmp_path, "192.0.2.0/24\n", "allow", "own.txt")
        assert holds(suppressor, "ipv4", "198.51.100.7") == {"a.txt": 1}
        assert holds(suppressor, "ipv4", "192.0.2.7") == {"own.txt": 1}

    def test_a_list_that_is_not_there_is_an_error(self, tmp_path: Path) -> None:
        assert "absent" in refusal(own(tmp_path, "", "absent"))

    def test_a_changed_list_is_read_again(self, tmp_path: Path) -> None:
        suppressor = own(tmp_path, "192.0.2.0/24\n")
        assert holds(suppressor, "ipv4", "192.0.2.7")
        (tmp_path / "own.txt").write_text("198.51.100.0/24\n")
        os.utime(tmp_path / "own.txt", ns=(1, 1))
        assert not holds(suppressor, "ipv4", "192.0.2.7")
        assert holds(suppressor, "ipv4", "198.51.100.7")


def test_the_configuration_names_lists(tmp_path: Path) -> None:
    path = tmp_path / "mandorla.toml"
    head = 'lab = "a"\nlisten = "127.0.0.1:1"\nendpoint = "127.0.0.1:1"\n'
    path.write_text(head + '[suppression]\nwarning_lists = ["akamai"]\nallow_lists = ["allow"]\n')
    policy = load_settings(path).suppression
    assert (policy.builtin, policy.warning_lists, policy.allow_lists) == (True, ("akamai",), ("allow",))
    path.write_text(head)
    assert load_settings(path).suppression == SuppressionSettings()


def test_only_an_ingest_of_flagged_indicators_is_suppressed(tmp_path: Path) -> None:
    suppressor = Suppressor(tmp_path, BUILTIN)
    assert suppressor.suppression_for(IndicatorSet.FLAGGED, suppress=True) is not None
    assert suppressor.suppression_for(IndicatorSet.FLAGGED, suppress=False) is None
    assert suppressor.suppression_for(IndicatorSet.OBSERVED, suppress=True) is None
