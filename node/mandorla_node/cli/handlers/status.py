"""`mandorla status`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mandorla_protocol.errors import Code, NodeError

from .help import manual
from .help import status as exit_with
from .options import HomeOption, JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from mandorla.v1 import operator_pb2

EXPIRES_SOON = 30 * 24 * 3600
"""Seconds before its end at which a certificate is spoken of."""


@manual(
    ("For reading:", "mandorla status"),
    ("For a program:", "mandorla status --json"),
    exit_status=(exit_with(Code.NODE_NOT_RUNNING, "what was shown is what the store holds."),),
    see="`mandorla top`, `mandorla doctor`; docs/observing.md, for metrics and health checks",
)
def status(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show how the node is: peers, budgets, key epochs, backlog and rounds.

    Of a node that does not run it shows what the store holds, and fails with NODE_NOT_RUNNING.
    """
    from ..home.folder import Home

    place = Home.locate(home)
    stopped: NodeError | None = None
    try:
        answer = asyncio.run(_ask(place.operator_socket))
    except NodeError as error:
        if error.code is not Code.NODE_NOT_RUNNING:
            raise
        from ..monitoring.status import status_of_store

        stopped, answer = error, status_of_store(place)
    if as_json:
        _write_json(answer)
    else:
        _print(answer)
    if stopped is not None:
        raise stopped


async def _ask(socket: Path) -> operator_pb2.StatusResponse:
    from ..client import Client

    async with Client(socket, patience=0) as client:
        return await client.status(now=True)


def _print(answer: operator_pb2.StatusResponse) -> None:
    from ..terminal import console
    from .status_view import title, whole

    out = console()
    out.print(title(answer))
    for part in whole(answer):
        out.print()
        out.print(part)


def _write_json(answer: operator_pb2.StatusResponse) -> None:
    from mandorla.v1 import operator_pb2

    from ..formats.rows import rfc3339
    from ..operator.messages import kind_name
    from ..terminal import write_json

    def moment(seconds: int) -> str | None:
        return rfc3339(seconds) if seconds else None

    write_json(
        {
            "lab": answer.lab,
            "endpoint": answer.endpoint,
            "health": answer.health,
            "version": answer.version or None,
            "engine": answer.engine or None,
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
                    "paused": moment(peer.paused_at),
                    "card": {"pending": peer.card_pending, "expires": moment(peer.card_expires)},
                    "budgets": [
                        {
                            "collection": budget.collection,
                            "epoch": budget.epoch,
                            "spent": budget.spent,
                            "budget": budget.budget,
                            "ends": moment(budget.ends),
                            "table_version": budget.table_version,
                            "table_entries": budget.table_entries,
                        }
                        for budget in peer.budgets
                    ],
                    "tables": [
                        {
                            "collection": one.collection,
                            "epoch": one.epoch,
                            "version": one.version,
                            "entries": one.entries,
                        }
                        for one in peer.tables
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
            "open_rounds": [
                {
                    "round_id": one.round_id.hex(),
                    "peer": one.peer,
                    "kind": kind_name(one.kind),
                    "collection": one.collection,
                    "initiated": one.initiated,
                    "step": one.step,
                    "done": one.done,
                    "total": one.total,
                    "evaluated_for_peer": one.evaluated_for_peer,
                    "created": moment(one.created),
                }
                for one in answer.open_rounds
            ],
            "comparing": answer.comparing,
            "backlog": [
                {
                    "peer": gap.peer,
                    "collection": gap.collection,
                    "unpublished": gap.unpublished,
                    "uncompared_flagged": gap.uncompared_flagged,
                    "uncompared_observed": gap.uncompared_observed,
                }
                for gap in answer.gaps
            ],
            "notices": [
                {
                    "receiver": one.receiver,
                    "waiting": one.waiting,
                    "failures": one.failures,
                    "failing_since": moment(one.failing_since),
                    "last_error": one.last_error or None,
                }
                for one in answer.notices
            ],
            "counted_before": answer.counted_before if answer.HasField("counted_before") else None,
            "load": {field.name: getattr(answer.load, field.name) for field in answer.load.DESCRIPTOR.fields},
        }
    )
