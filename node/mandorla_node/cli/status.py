"""`mandorla status`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .options import HomeOption, JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from mandorla.v1 import operator_pb2

SOON = 30 * 24 * 3600
"""Seconds before its end at which a certificate is spoken of."""


def status(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show the running node's sets, peers, budgets and rounds."""
    from ..home import Home

    answer = asyncio.run(_ask(Home.locate(home).operator_socket))
    if as_json:
        _write_json(answer)
    else:
        _print(answer)


async def _ask(socket: Path) -> operator_pb2.StatusResponse:
    from ..operator_client import OperatorClient

    async with OperatorClient(socket) as client:
        return await client.status()


def _print(answer: operator_pb2.StatusResponse) -> None:
    from .output import ago, console, safe

    out = console()
    started = ago(answer.started).removesuffix(" ago")
    out.print(
        safe(answer.lab, "bold"),
        safe(f"  {answer.endpoint}, {answer.engine} engine, up {started}", "dim"),
        sep="",
    )
    _print_card(out, answer)
    _print_sets(out, answer)
    _print_peers(out, answer)
    _print_rounds(out, answer)


def _print_card(out: Console, answer: operator_pb2.StatusResponse) -> None:
    """Say what is not well with keys and certificates."""
    import time

    from ..formats.rows import rfc3339
    from .output import safe

    if answer.key_source == "home":
        out.print("Keys are plain files in the home: mandorla rekey", style="yellow")
    names = [(answer.lab, answer.card_expires), *((peer.name, peer.card_expires) for peer in answer.peers)]
    for name, expires in names:
        if expires and expires - time.time() < SOON:
            ends = f"the certificate of {name} ends {rfc3339(expires)[:10]}"
            advice = ": mandorla renew" if name == answer.lab else ", and with it its card"
            out.print(safe(ends[0].upper() + ends[1:] + advice, "yellow"))
    waiting = [peer.name for peer in answer.peers if peer.card_pending]
    if waiting:
        issued = rfc3339(answer.card_issued)[:10]
        said = f"Not yet said that they pinned the card of {issued}: {', '.join(waiting)}"
        out.print(safe(said, "yellow"))


def _print_sets(out: Console, answer: operator_pb2.StatusResponse) -> None:
    from mandorla.v1 import operator_pb2

    from .output import count, safe, table

    counts = {(one.type, one.set): one.count for one in answer.sets}
    out.print()
    if not counts:
        out.print("No indicators yet: mandorla ingest FILE --as flagged --type TYPE")
        return
    rows = table("indicators", "flagged", "observed", right=("flagged", "observed"))
    for kind in sorted({kind for kind, _ in counts}):
        rows.add_row(
            safe(kind),
            count(counts.get((kind, operator_pb2.SET_FLAGGED), 0)),
            count(counts.get((kind, operator_pb2.SET_OBSERVED), 0)),
        )
    out.print(rows)


def _print_peers(out: Console, answer: operator_pb2.StatusResponse) -> None:
    from .output import ago, count, safe, table

    out.print()
    if not answer.peers:
        out.print("No peers yet: mandorla peer add CARD_FILE")
        return
    numbers = ("matches", "sightings")
    rows = table("peer", "endpoint", "last contact", *numbers, right=numbers)
    budgets = table("evaluations for", "collection", "epoch", "spent", "of", right=("epoch", "spent", "of"))
    for peer in answer.peers:
        rows.add_row(
            safe(peer.name, "bold"),
            safe(peer.endpoint),
            ago(peer.last_contact),
            count(peer.matches),
            count(peer.sightings),
        )
        for budget in peer.budgets:
            budgets.add_row(
                safe(peer.name, "bold"),
                safe(budget.collection),
                str(budget.epoch),
                count(budget.spent),
                count(budget.budget),
            )
    out.print(rows)
    for peer in answer.peers:
        if peer.caught:
            said = " showed its log in two ways, and is refused. The proof: mandorla audit fraud "
            out.print(safe(peer.name, "bold red"), said, safe(peer.name), " -o FILE", sep="")
    if budgets.row_count:
        out.print()
        out.print(budgets)


def _print_rounds(out: Console, answer: operator_pb2.StatusResponse) -> None:
    from ..operator_client import kind_name
    from .output import ago, lasted, safe, table

    if not answer.rounds:
        return
    rows = table("round", "peer", "kind", "collection", "state", "took", "began", right=("took",))
    for one in answer.rounds:
        state = f"{one.state} ({one.code})" if one.code else one.state
        rows.add_row(
            one.round_id.hex()[:8],
            safe(one.peer, "bold"),
            kind_name(one.kind),
            safe(one.collection),
            safe(state, {"committed": "green", "aborted": "red"}.get(one.state, "yellow")),
            lasted(one.closed - one.created) if one.closed else "",
            ago(one.created),
        )
    out.print()
    out.print(rows)


def _write_json(answer: operator_pb2.StatusResponse) -> None:
    from mandorla.v1 import operator_pb2

    from ..formats.rows import rfc3339
    from ..operator_client import kind_name
    from .output import write_json

    def moment(seconds: int) -> str | None:
        return rfc3339(seconds) if seconds else None

    write_json(
        {
            "lab": answer.lab,
            "endpoint": answer.endpoint,
            "engine": answer.engine,
            "started": moment(answer.started),
            "keys": answer.key_source,
            "card": {"issued": moment(answer.card_issued), "expires": moment(answer.card_expires)},
            "sets": [
                {
                    "type": one.type,
                    "set": operator_pb2.Set.Name(one.set).removeprefix("SET_").lower(),
                    "count": one.count,
                }
                for one in answer.sets
            ],
            "peers": [
                {
                    "name": peer.name,
                    "endpoint": peer.endpoint,
                    "last_contact": moment(peer.last_contact),
                    "matches": peer.matches,
                    "sightings": peer.sightings,
                    "log_cosigned": peer.cosigned,
                    "caught": peer.caught,
                    "card": {"pending": peer.card_pending, "expires": moment(peer.card_expires)},
                    "budgets": [
                        {
                            "collection": budget.collection,
                            "epoch": budget.epoch,
                            "spent": budget.spent,
                            "budget": budget.budget,
                            "table_version": budget.table_version,
                        }
                        for budget in peer.budgets
                    ],
                }
                for peer in answer.peers
            ],
            "rounds": [
                {
                    "round_id": one.round_id.hex(),
                    "peer": one.peer,
                    "kind": kind_name(one.kind),
                    "collection": one.collection,
                    "state": one.state,
                    "code": one.code or None,
                    "created": moment(one.created),
                    "closed": moment(one.closed),
                }
                for one in answer.rounds
            ],
        }
    )
