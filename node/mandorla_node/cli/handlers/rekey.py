"""`mandorla rekey`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..home.key_kinds import SourceKind
from .help import manual
from .options import HomeOption, JsonOption

if TYPE_CHECKING:
    from ..home.key_sources import KeySource

KeyPathOption = Annotated[
    Path | None,
    typer.Option(
        "--key-path",
        metavar="FILE",
        help="The key's file, made if it is not there; or where to read the passphrase (/dev/fd/3).",
        show_default=False,
    ),
]
KeyNameOption = Annotated[
    str, typer.Option("--key-name", metavar="NAME", help="The systemd credential's name.", show_default=False)
]

_SAID = {
    SourceKind.HOME: "plain files in the home: whoever copies it has the lab's identity",
    SourceKind.FILE: "sealed under a key file",
    SourceKind.CREDENTIAL: "sealed under a systemd credential",
    SourceKind.PASSPHRASE: "sealed under a passphrase",
}


@manual(
    ("A new key, in a file:", "mandorla rekey --to file --key-path /mnt/keys/alder-2.key"),
    ("A passphrase, or another one; it is asked for:", "mandorla rekey --to passphrase"),
    see="docs/keys.md",
)
def rekey(
    home: HomeOption,
    to: Annotated[
        SourceKind,
        typer.Option(
            "--to",
            metavar="SOURCE",
            help="Where the key comes from, from now on: file, credential or passphrase; "
            "home: the secrets are not sealed.",
            show_default=False,
        ),
    ],
    path: KeyPathOption = None,
    name: KeyNameOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change where the key comes from that seals this home's secrets, or change the passphrase.

    The node has to be stopped. The former key or passphrase is needed once more, and is read as mandorla.toml
    says. It still opens older copies of the home.
    """
    from ..home.rekey import rekey as change
    from ..terminal import console, safe, write_json

    source = source_from(to, path, name)
    change(home, source)
    if as_json:
        write_json({"home": str(home), "key_source": to.value})
        return
    console().print(safe(f"The keys of {home} are {said_of(source)}."))


def source_from(kind: SourceKind, path: Path | None, name: str) -> KeySource:
    """Return the source that options name; a path is relative to the working directory."""
    from ..home.key_sources import KeySource

    return KeySource(kind, None if path is None else path.absolute(), name)


def said_of(source: KeySource) -> str:
    """Say what a source makes of a home's keys."""
    where = {SourceKind.FILE: f", {source.path}", SourceKind.CREDENTIAL: f", {source.name}"}
    return _SAID[source.kind] + where.get(source.kind, "")
