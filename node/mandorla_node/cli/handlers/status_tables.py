"""The state of a node as tables: `mandorla status` prints them once, `mandorla top` redraws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from mandorla.v1 import operator_pb2

from ...core.clock import system_clock
from ...formats.rows import rfc3339
from ...operator.messages import kind_name
from ...terminal import ago, count, duration, lasted, pairs, plural, safe, size, table, until

CERTIFICATE_ENDS_SOON: Final = 30 * 24 * 3600
"""Seconds before the end of a certificate at which the operator is warned."""

_STATE_STYLES: Final = {"committed": "green", "aborted": "red"}
_BAR_WIDTH: Final = 20
_NEARLY_SPENT: Final = 0.8


def title(status: operator_pb2.StatusResponse) -> Text:
    """Return the line with the node's name, address and health."""
    health = safe(status.health, "green" if status.health == "serving" else "bold red")
    return Text.assemble(safe(status.lab, "bold"), "  ", safe(status.endpoint, "dim"), "  ", health)


def facts(status: operator_pb2.StatusResponse) -> RenderableType:
    """Return the table of the node's process and of its store."""
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
    """Return the table of the numbers of indicators, by type."""
    if not status.HasField("counted_before"):
        return safe("The indicators are being counted.", "dim")
    counts = {(size.type, size.set): size.count for size in status.sets}
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
    """Return the table of the peers, with the numbers of their matches."""
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
    """Yield a line for each condition that the operator has to act on."""
    if status.key_source == "home":
        yield safe("Keys are plain files in the home: mandorla rekey", "yellow")
    names = [(status.lab, status.card_expires), *((peer.name, peer.card_expires) for peer in status.peers)]
    for name, expires in names:
        if expires and expires - system_clock() < CERTIFICATE_ENDS_SOON:
            advice = ": mandorla renew" if name == status.lab else ", and its card with it"
            yield safe(f"The certificate of {name} ends {rfc3339(expires)[:10]}{advice}", "yellow")
    waiting = [peer.name for peer in status.peers if peer.card_pending]
    if waiting:
        issued = rfc3339(status.card_issued)[:10]
        yield safe(f"Peers that have not confirmed the card of {issued}: {', '.join(waiting)}", "yellow")
    for notices in status.notices:
        if notices.failures:
            missed = f"has not received {plural(notices.waiting, 'match', 'matches')}"
            since = f"since {rfc3339(notices.failing_since)}, {notices.last_error}"
            yield safe(f"The {notices.receiver} {missed}: {since}", "yellow")
    for peer in status.peers:
        if peer.paused_at:
            yield safe(f"{peer.name} was paused {ago(peer.paused_at)}: mandorla peer resume", "yellow")
        if peer.caught:
            fraud = " showed its log in two ways, and is refused. The proof: mandorla audit fraud "
            yield Text.assemble(safe(peer.name, "bold red"), fraud, safe(peer.name), " -o FILE")


def budgets(status: operator_pb2.StatusResponse) -> RenderableType | None:
    """Return the table of each peer's key epochs and remaining budgets."""
    numbers = ("epoch", "spent", "left", "entries")
    rows = table("key for", "collection", *numbers, "ends", right=numbers)
    for peer in status.peers:
        for budget in peer.budgets:
            nearly_spent = budget.budget and budget.spent >= _NEARLY_SPENT * budget.budget
            rows.add_row(
                safe(peer.name, "bold"),
                safe(budget.collection),
                str(budget.epoch),
                count(budget.spent),
                safe(count(budget.budget - budget.spent), "yellow" if nearly_spent else ""),
                count(budget.table_entries),
                until(budget.ends),
            )
    return rows if rows.row_count else None


def gaps(status: operator_pb2.StatusResponse) -> RenderableType | None:
    """Return the table of the indicators still to be published to a peer, or compared with its table."""
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
    """Return the table of the open rounds."""
    rows = table("under way", "peer", "kind", "collection", "by", "step", "", "for peer", right=("for peer",))
    for opened in status.open_rounds:
        bar = ProgressBar(opened.total, opened.done, width=_BAR_WIDTH) if opened.total else ""
        rows.add_row(
            opened.round_id.hex()[:8],
            safe(opened.peer, "bold"),
            kind_name(opened.kind),
            safe(opened.collection),
            "us" if opened.initiated else "them",
            safe(opened.step),
            bar,
            count(opened.evaluated_for_peer),
        )
    if status.comparing:
        rows.caption = f"{plural(status.comparing, 'comparison')} with tables of peers under way"
    return rows if rows.row_count or status.comparing else None


def recent_rounds(status: operator_pb2.StatusResponse, limit: int | None = None) -> RenderableType | None:
    """Return the table of the latest rounds, newest first."""
    if not status.rounds:
        return None
    rows = table("round", "peer", "kind", "collection", "state", "took", "began", right=("took",))
    for recent in status.rounds[:limit]:
        state = f"{recent.state} ({recent.code})" if recent.code else recent.state
        rows.add_row(
            recent.round_id.hex()[:8],
            safe(recent.peer, "bold"),
            kind_name(recent.kind),
            safe(recent.collection),
            safe(state, _STATE_STYLES.get(recent.state, "yellow")),
            lasted(recent.closed - recent.created) if recent.closed else "",
            ago(recent.created),
        )
    return rows


def counted(status: operator_pb2.StatusResponse) -> RenderableType | None:
    """Return the line with the age of the counts, if they are older than a second."""
    if status.counted_before < 1:
        return None
    return safe(f"Indicators and backlog were counted {duration(status.counted_before)} ago.", "dim")


def whole(status: operator_pb2.StatusResponse) -> Sequence[RenderableType]:
    """Return all tables and lines of `mandorla status`, in order."""
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
