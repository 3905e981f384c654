"""The lists of shared infrastructure: those of this package, the MISP warning lists, a lab's own files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from mandorla_protocol.errors import Code, InputError, NodeError
from mandorla_protocol.indicators import REGISTRY, Indicator

from ..formats.lines import Line, read_lines
from .suppression_index import Index, Network

PACKAGE: Final = "pymispwarninglists"

DEFAULT_LISTS: Final = (
    "akamai",
    "amazon-aws",
    "apple",
    "cloudflare",
    "fastly",
    "github",
    "google-gcp",
    "google-gmail-sending-ips",
    "googlebot",
    "microsoft-azure",
    "microsoft-azure-china",
    "microsoft-azure-germany",
    "microsoft-azure-us-gov",
    "microsoft-office365-ip",
    "openai-gptbot",
    "public-dns-hostname",
    "public-dns-v4",
    "public-dns-v6",
    "second-level-tlds",
    "smtp-sending-ips",
    "stackpath",
    "university_domains",
    "wikimedia",
    "zscaler",
)
"""The MISP warning lists of shared infrastructure: resolvers, clouds, relays, universities, public suffixes.

The lists of infrastructure that attackers rent or register (VPNs, disposable mail, dynamic DNS, parking) are
not among them. Nor are the lists of popular sites: many of these let anybody register a name below theirs.
"""

_NAMES: Final = ("domain", "mail-domain")


def add_builtin(index: Index) -> None:
    """Add the lists of `suppression_builtin.toml`."""
    text = files(__package__).joinpath("suppression_builtin.toml").read_text("utf-8")
    for name, entries in tomllib.loads(text).items():
        mask = index.new_list(name)
        for network in entries.get("networks", ()):
            index.add_network(mask, ip_network(network))
        for kind, key in (("domain", "domains"), ("mail-domain", "mail_domains")):
            for value in entries.get(key, ()):
                index.add_value(mask, kind, value)
        for value in entries.get("under", ()):
            index.add_under(mask, "mail-domain", value)


def warning_lists() -> Path | None:
    """Return the folder of the MISP warning lists; None if they are not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "data" / "misp-warninglists" / "lists"


def missing() -> NodeError:
    """Return the error for warning lists that are configured and not installed."""
    return NodeError(
        Code.BAD_CONFIG,
        "suppression.warning_lists needs the MISP warning lists: pip install 'mandorla[suppression]'",
    )


def add_warning_list(index: Index, folder: Path, name: str) -> None:
    """Add a MISP warning list of addresses, networks or names; skip its other entries.

    Raises NodeError(BAD_CONFIG) if there is no such list, or if it holds substrings or regular expressions.
    """
    path = folder / name / "list.json"
    if Path(name).name != name or not path.is_file():
        raise NodeError(Code.BAD_CONFIG, f"suppression.warning_lists: there is no MISP warning list {name!r}")
    content = json.loads(path.read_text("utf-8"))
    mask = index.new_list(name)
    match content["type"]:
        case "cidr":
            for entry in content["list"]:
                if (network := _network(entry)) is not None:
                    index.add_network(mask, network)
        case "hostname" | "string":
            for entry in content["list"]:
                _add_name(index, mask, entry, content["type"] == "hostname" or entry.startswith("."))
        case kind:
            raise NodeError(
                Code.BAD_CONFIG,
                f"suppression.warning_lists: {name} is a list of kind {kind}, which cannot be used",
            )


def allow_files(home: Path, names: Iterable[str]) -> list[Path]:
    """Return the files of a lab's allow-lists; a folder stands for all of its files.

    Raises NodeError(BAD_CONFIG) for a path that does not exist.
    """
    found: list[Path] = []
    for name in names:
        path = home / name
        if path.is_dir():
            found += sorted(
                file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
            )
        elif path.is_file():
            found.append(path)
        else:
            raise NodeError(Code.BAD_CONFIG, f"suppression.allow_lists: {name} is no file or folder")
    return found


def add_allow_list(index: Index, path: Path) -> None:
    """Add a file of lines `type,value`, or of networks and addresses; a comma ends a network or an address.

    `domain,.name` and `mail-domain,.name` stand for the name and all names below it.

    Raises NodeError(BAD_CONFIG) for the first line of another form: a lab that lists indicators not to be
    flagged must not run with half of the list.
    """
    mask = index.new_list(path.name)
    try:
        with path.open("rb") as file:
            for line in read_lines(file):
                if not isinstance(line, Line):
                    raise _bad_line(path, line.line, line.reason)
                text = line.text.strip()
                if text and not text.startswith("#") and (reason := _add_line(index, mask, text)):
                    raise _bad_line(path, line.number, reason)
    except OSError as error:
        raise NodeError(Code.BAD_CONFIG, f"{path.name}: {error.strerror}") from None


def _add_line(index: Index, mask: int, text: str) -> str:
    """Add a line; return the reason if it cannot be used, or an empty text."""
    first, _, rest = text.partition(",")
    kind, value = first.strip(), rest.strip()
    if kind not in REGISTRY:
        network = _network(kind)
        if network is None:
            return "It is neither a network nor a registered type with a value."
        index.add_network(mask, network)
        return ""
    under = kind in _NAMES and value.startswith(".")
    try:
        indicator = Indicator.parse(kind, value.removeprefix(".") if under else value)
    except InputError as error:
        return error.detail
    if under:
        index.add_under(mask, kind, indicator.value)
    else:
        index.add_value(mask, kind, indicator.value)
    return ""


def _add_name(index: Index, mask: int, entry: str, under: bool) -> None:
    """Add a name of a warning list, as a domain and as a mail domain."""
    try:
        name = Indicator.parse("domain", entry.removeprefix(".")).value
    except InputError:
        return
    for kind in _NAMES:
        if under:
            index.add_under(mask, kind, name)
        else:
            index.add_value(mask, kind, name)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _bad_line(path: Path, number: int, reason: str) -> NodeError:
    return NodeError(Code.BAD_CONFIG, f"{path.name}, line {number}: {reason}")
