"""Published lists: the rules refuse only rows that are no values of the type."""

from pathlib import Path

import pytest

from mandorla_protocol.errors import InputError
from mandorla_protocol.indicators import REGISTRY

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real lists are not beside this checkout")


def refused(type_name: str, name: str) -> tuple[int, list[str]]:
    """Return the number of rows that are not blank, and the refused ones of them."""
    canonicalise = REGISTRY[type_name].canonicalise
    rows = [row for row in (DATA / name).read_text("utf-8").splitlines() if row.strip()]
    bad = []
    for row in rows:
        try:
            canonicalise(row)
        except InputError:
            bad.append(row)
    return len(rows), bad


@pytest.mark.parametrize(
    ("name", "count"),
    [("ip/isc_sans.txt", 613), ("ip/cins.txt", 0), ("ip/blocklist_de.txt", 0)],
)
def test_only_rows_that_lost_an_octet_are_no_addresses(name: str, count: int) -> None:
    _, bad = refused("ipv4", name)
    assert len(bad) == count
    assert all(len([octet for octet in row.split(".") if octet]) < 4 for row in bad)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mail/disposable_email_domains.txt", 1),
        ("mail/burner_email_providers.txt", 8),
        ("mail/mailchecker.txt", 9),
    ],
)
def test_only_names_of_symbols_are_no_mail_domains(name: str, count: int) -> None:
    _, bad = refused("mail-domain", name)
    assert len(bad) == count
    for row in bad:
        label = row.split(".")[0]
        assert not label.removeprefix("xn--").encode().decode("punycode").isalnum()
