"""The state of a node, as `mandorla status` prints it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, NodeError

from ...client import Client
from ...formats.rows import rfc3339
from ...home.folder import Home
from ...operator.messages import kind_name
from ...terminal import console, write_json
from .status_tables import title, whole


def status(home: Path, as_json: bool) -> None:
    """Print the state that the node reports, or what the store of a stopped node holds.

    Raises NodeError: NODE_NOT_RUNNING after the state of a stopped node.
    """
    place = Home.locate(home)
    stopped: NodeError | None = None
    try:
        state = asyncio.run(_ask_node(place.operator_socket))
    except NodeError as error:
        if error.code is not Code.NODE_NOT_RUNNING:
            raise
        from ...monitoring.status import status_of_store  # noqa: PLC0415 - a running node's state needs no store

        stopped, state = error, status_of_store(place)
    if as_json:
        _write_json(state)
    else:
        _print(state)
    if stopped is not None:
        raise stopped


async def _ask_node(socket: Path) -> operator_pb2.StatusResponse:
    async with Client(socket, patience=0) as client:
        return await client.status(now=True)


def _print(status: operator_pb2.StatusResponse) -> None:
    out = console()
    out.print(title(status))
    for part in whole(status):
        out.print()
        out.print(part)


def _time_or_none(seconds: int) -> str | None:
    return rfc3339(seconds) if seconds else None


def _write_json(status: operator_pb2.StatusResponse) -> None:
    write_json(
        {
            "lab": status.lab,
            "endpoint": status.endpoint,
            "health": status.health,
            "version": status.version or None,
            "engine": status.engine or None,
            "started": _time_or_none(status.started),
            "keys": status.key_source,
            "card": {
                "issued": _time_or_none(status.card_issued),
                "expires": _time_or_none(status.card_expires),
            },
            "sets": [
                {
                    "type": size.type,
                    "set": operator_pb2.Set.Name(size.set).removeprefix("SET_").lower(),
                    "count": size.count,
                }
                for size in status.sets
            ],
            "peers": [
                {
                    "name": peer.name,
                    "endpoint": peer.endpoint,
                    "last_contact": _time_or_none(peer.last_contact),
                    "matches": peer.matches,
                    "sightings": peer.sightings,
                    "log_cosigned": peer.cosigned,
                    "caught": peer.caught,
                    "paused": _time_or_none(peer.paused_at),
                    "card": {"pending": peer.card_pending, "expires": _time_or_none(peer.card_expires)},
                    "budgets": [
                        {
                            "collection": budget.collection,
                            "epoch": budget.epoch,
                            "spent": budget.spent,
                            "budget": budget.budget,
                            "ends": _time_or_none(budget.ends),
                            "table_version": budget.table_version,
                            "table_entries": budget.table_entries,
                        }
                        for budget in peer.budgets
                    ],
                    "tables": [
                        {
                            "collection": tags.collection,
                            "epoch": tags.epoch,
                            "version": tags.version,
                            "entries": tags.entries,
                        }
                        for tags in peer.tables
                    ],
                }
                for peer in status.peers
            ],
            "rounds": [
                {
                    "round_id": listed.round_id.hex(),
                    "peer": listed.peer,
                    "kind": kind_name(listed.kind),
                    "collection": listed.collection,
                    "state": listed.state,
                    "code": listed.code or None,
                    "created": _time_or_none(listed.created),
                    "closed": _time_or_none(listed.closed),
                }
                for listed in status.rounds
            ],
            "open_rounds": [
                {
                    "round_id": listed.round_id.hex(),
                    "peer": listed.peer,
                    "kind": kind_name(listed.kind),
                    "collection": listed.collection,
                    "initiated": listed.initiated,
                    "step": listed.step,
                    "done": listed.done,
                    "total": listed.total,
                    "evaluated_for_peer": listed.evaluated_for_peer,
                    "created": _time_or_none(listed.created),
                }
                for listed in status.open_rounds
            ],
            "comparing": status.comparing,
            "backlog": [
                {
                    "peer": gap.peer,
                    "collection": gap.collection,
                    "unpublished": gap.unpublished,
                    "uncompared_flagged": gap.uncompared_flagged,
                    "uncompared_observed": gap.uncompared_observed,
                }
                for gap in status.gaps
            ],
            "notices": [
                {
                    "receiver": notice.receiver,
                    "waiting": notice.waiting,
                    "failures": notice.failures,
                    "failing_since": _time_or_none(notice.failing_since),
                    "last_error": notice.last_error or None,
                }
                for notice in status.notices
            ],
            "counted_before": status.counted_before if status.HasField("counted_before") else None,
            "load": {field.name: getattr(status.load, field.name) for field in status.load.DESCRIPTOR.fields},
        }
    )
