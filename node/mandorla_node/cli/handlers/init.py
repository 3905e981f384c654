"""The home that `mandorla init` makes."""

from __future__ import annotations

from pathlib import Path

from mandorla_protocol.card import fingerprint

from ...home.folder import Home
from ...home.key_kinds import SourceKind
from ...terminal import console, pairs, safe, write_json
from .card_json import card_object
from .key_source_text import description_of, source_from


def init(
    home: Path,
    lab: str,
    listen: str,
    endpoint: str | None,
    key_source: SourceKind,
    key_path: Path | None,
    key_name: str,
    as_json: bool,
) -> None:
    """Make a home, and print the next steps."""
    created = Home.create(
        home,
        lab=lab,
        listen=listen,
        endpoint=endpoint,
        source=source_from(key_source, key_path, key_name),
    )
    if as_json:
        write_json({"home": str(home), **card_object(created.card)})
        return
    out = console()
    out.print("Made the home of ", safe(lab, "bold"), " in ", safe(str(home)), ".", sep="")
    rows = pairs()
    rows.add_row("endpoint", safe(created.card.endpoint))
    rows.add_row("fingerprint", safe(fingerprint(created.card.identity)))
    rows.add_row("keys", safe(description_of(created.key_source)))
    out.print(rows)
    out.print("\nNext", style="bold")
    steps = pairs()
    steps.add_row("give peers your card", safe(f"mandorla card --home {home} > {lab}.card.json"))
    steps.add_row("pin each peer's card", safe(f"mandorla peer add CARD_FILE --home {home}"))
    steps.add_row("start the node", safe(f"mandorla serve --home {home}"))
    out.print(steps)
