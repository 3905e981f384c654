"""How a node stands, as tables: `mandorla status` prints them once, `mandorla top` draws them on and on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from mandorla.v1 import operator_pb2

from ..core.clock import system_clock
from ..formats.rows import rfc3339
from ..operator.messages import kind_name
from ..terminal import ago, count, duration, lasted, pairs, plural, safe, size, table, until
from .status import EXPIRES_SOON

STATE_STYLES: Final = {"committed": "green", "aborted": "red"}
_BAR_WIDTH: Final = 20
_NEARLY_SPENT: Final = 0.8


def title(status: operator_pb2.StatusResponse) -> Text:
    """Return the line that says which node it is, and how it is."""
    health = safe(status.health, "green" if status.health == "serving" else "bold red")
    return Text.assemble(safe(status.lab, "bold"), "  ", safe(status.endpoint, "dim"), "  ", health)


def facts(status: operator_pb2.StatusResponse) -> RenderableType:
    """Return what is to say of the node's process, and of its store."""
    rows, load = pairs(), status.load
    if status.started:
        up = ago(status.started).removesuffix(" ago")
        rows.add_row("up", safe(f"{up}, version {status.version}, {status.engine} engine"))
        calls = f"{plural(load.calls, 'call')} of peers, {count(load.refused_calls)} refused"
        rows.add_row("answered", safe(f"{calls}; {plural(load.checks, 'check')}"))
        rows.add_row("memory", size(load.memory_bytes))
    rows.add_row("store", safe(f"{size(load.store_bytes)}, and {size(load.wal_bytes)} of write-ahead log"))
    return rows


def sets(status: operator_pb2.StatusResponse) -> RenderableType:
    """Return how many indicators there are."""
    if not status.HasField("counted_before"):
        return safe("The indicators are being counted.", "dim")
    counts = {(one.type, one.set): one.count for one in status.sets}
    if not counts:
        return safe("No indicators yet: mandorla ingest FILE --as flagged --type TYPE")
    rows = table("indicators", "flagged", "observed", right=("flagged", "observed"))
    for kind in sorted({kind for kind, _ in counts}):
        rows.add_row(
            safe(kind),
            count(counts.get((kind, operator_pb2.SET_FLAGGED), 0)),
            count(counts.get((kind, operator_pb2.SET_OBSERVED), 0)),
        )
    return rows


def peers(status: operator_pb2.StatusResponse) -> RenderableType:
    """Return the peers, and what was found with them."""
    if not status.peers:
        return safe("No peers yet: mandorla peer add CARD_FILE")
    numbers = ("matches", "sightings")
    rows = table("peer", "endpoint", "last contact", *numbers, right=numbers)
    for peer in status.peers:
        rows.add_row(
            safe(peer.name, "bold red" if peer.caught else "bold"),
            safe(peer.endpoint),
            ago(peer.last_contact),
            count(peer.matches),
            count(peer.sightings),
        )
    return rows


def warnings(status: operator_pb2.StatusResponse) -> Iterator[Text]:
    """Yield what an operator must not overlook."""
    if status.key_source == "home":
        yield safe("Keys are plain files in the home: mandorla rekey", "yellow")
    names = [(status.lab, status.card_expires), *((peer.name, peer.card_expires) for peer in status.peers)]
    for name, expires in names:
        if expires and expires - system_clock() < EXPIRES_SOON:
            advice = ": mandorla renew" if name == status.lab else ", and with it its card"
            yield safe(f"The certificate of {name} ends {rfc3339(expires)[:10]}{advice}", "yellow")
    waiting = [peer.name for peer in status.peers if peer.card_pending]
    if waiting:
        issued = rfc3339(status.card_issued)[:10]
        said = f"Not yet said that they pinned the card of {issued}: {', '.join(waiting)}"
        yield safe(said, "yellow")
    for notices in status.notices:
        if notices.failures:
            missed = f"has not been told of {plural(notices.waiting, 'match', 'matches')}"
            since = f"since {rfc3339(notices.failing_since)}, {notices.last_error}"
            yield safe(f"The {notices.receiver} {missed}: {since}", "yellow")
    for peer in status.peers:
        if peer.paused_at:
            yield safe(f"{peer.name} was paused {ago(peer.paused_at)}: mandorla peer resume", "yellow")
        if peer.caught:
            said = " showed its log in two ways, and is refused. The proof: mandorla audit fraud "
            yield Text.assemble(safe(peer.name, "bold red"), said, safe(peer.name), " -o FILE")


def budgets(status: operator_pb2.StatusResponse) -> RenderableType | None:
    """Return what each peer may still ask, and until when."""
    numbers = ("epoch", "spent", "left", "entries")
    rows = table("key for", "collection", *numbers, "ends", right=numbers)
    for peer in status.peers:
        for one in peer.budgets:
            nearly = one.budget and one.spent >= _NEARLY_SPENT * one.budget
            rows.add_row(
                safe(peer.name, "bold"),
                safe(one.collection),
                str(one.epoch),
                count(one.spent),
                safe(count(one.budget - one.spent), "yellow" if nearly else ""),
                count(one.table_entries),
                until(one.ends),
            )
    return rows if rows.row_count else None


def gaps(status: operator_pb2.StatusResponse) -> RenderableType | None:
    """Return what has still to be published to a peer, or compared with its table."""
    numbers = ("to publish", "flagged to compare", "observed to compare")
    rows = table("backlog for", "collection", *numbers, right=numbers)
    for gap in status.gaps:
        rows.add_row(
            safe(gap.peer, "bold"),
            safe(gap.collection),
            count(gap.unpublished),
            count(gap.uncompared_flagged),
            count(gap.uncompared_observed),
        )
    return rows if rows.row_count else None


def open_rounds(status: operator_pb2.StatusResponse) -> RenderableType | None:
    """Return the rounds that are under way."""
    rows = table("under way", "peer", "kind", "collection", "by", "step", "", "for peer", right=("for peer",))
    for one in status.open_rounds:
        bar = ProgressBar(one.total, one.done, width=_BAR_WIDTH) if one.total else ""
        rows.add_row(
            one.round_id.hex()[:8],
            safe(one.peer, "bold"),
            kind_name(one.kind),
            safe(one.collection),
            "us" if one.initiated else "them",
            safe(one.step),
            bar,
            count(one.evaluated_for_peer),
        )
    if status.comparing:
        rows.caption = f"{plural(status.comparing, 'comparison')} with tables of peers under way"
    return rows if rows.row_count or status.comparing else None


def recent_rounds(status: operator_pb2.StatusResponse, limit: int | None = None) -> RenderableType | None:
    """Return the latest rounds, newest first."""
    if not status.rounds:
        return None
    rows = table("round", "peer", "kind", "collection", "state", "took", "began", right=("took",))
    for one in status.rounds[:limit]:
        state = f"{one.state} ({one.code})" if one.code else one.state
        rows.add_row(
            one.round_id.hex()[:8],
            safe(one.peer, "bold"),
            kind_name(one.kind),
            safe(one.collection),
            safe(state, STATE_STYLES.get(one.state, "yellow")),
            lasted(one.closed - one.created) if one.closed else "",
            ago(one.created),
        )
    return rows


def counted(status: operator_pb2.StatusResponse) -> RenderableType | None:
    """Return how old the counts of indicators are, if that is worth a word."""
    if status.counted_before < 1:
        return None
    return safe(f"Indicators and backlog as counted {duration(status.counted_before)} ago.", "dim")


def whole(status: operator_pb2.StatusResponse) -> Sequence[RenderableType]:
    """Return all of it, in the order in which it is read."""
    parts = [
        facts(status),
        sets(status),
        peers(status),
        *warnings(status),
        budgets(status),
        gaps(status),
        open_rounds(status),
        recent_rounds(status),
        counted(status),
    ]
    return [part for part in parts if part is not None]
