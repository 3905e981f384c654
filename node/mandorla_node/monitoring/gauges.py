"""Gauges of the store and of open rounds: read at each scrape, not counted as events occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mandorla_protocol.indicators import REGISTRY

from ..crypto import certificates
from ..store import Backlog, StoreState
from ..telemetry.metrics import kind_label

_TABLE = ("peer", "collection")


@dataclass(frozen=True, slots=True)
class GaugeSnapshot:
    """The last readings of the store and of the open rounds (peer, kind, collection, step).

    A part that was never read is None, and its metrics are absent. Ages are seconds. `last_contact` is the
    Unix time of each peer's last call since the node started; the store records only agreed rounds.
    """

    serving: bool = False
    card_ends: int = 0
    state: StoreState | None = None
    backlog: Backlog | None = None
    ages: tuple[tuple[str, float], ...] = ()
    last_contact: Mapping[str, int] = field(default_factory=dict)
    open_rounds: tuple[tuple[str, str, str, str], ...] = ()
    comparing: int = 0


class Gauges(Collector):
    """Export the last snapshot to Prometheus."""

    def __init__(self) -> None:
        self.snapshot = GaugeSnapshot()

    def collect(self) -> Iterator[Metric]:
        """Yield a metric family for each part of the snapshot."""
        snapshot = self.snapshot
        yield _single_gauge(
            "mandorla_serving", "1 while the node serves and its store can be written", int(snapshot.serving)
        )
        yield _single_gauge(
            "mandorla_certificate_end_timestamp_seconds",
            "When the certificate of this lab's newest card ends",
            snapshot.card_ends,
        )
        yield _gauges(
            "mandorla_reading_age_seconds",
            "Age of the values from the store: of peers (state), and of sets and gaps (backlog)",
            ("part",),
            [((part,), age) for part, age in snapshot.ages],
        )
        counted = Counter(snapshot.open_rounds)
        yield _gauges(
            "mandorla_open_rounds",
            "Open rounds, by their current step",
            ("peer", "kind", "collection", "step"),
            [(labels, count) for labels, count in sorted(counted.items())],
        )
        yield _single_gauge(
            "mandorla_comparisons", "Comparisons with tables of peers that run now", snapshot.comparing
        )
        if snapshot.state is not None:
            yield from _state_families(snapshot.state, snapshot.last_contact)
        if snapshot.backlog is not None:
            yield from _backlog_families(snapshot.backlog)


def _state_families(state: StoreState, last_contact: Mapping[str, int]) -> Iterator[Metric]:
    peers = [(peer_state.peer.name, peer_state) for peer_state in state.peers]
    yield _gauges(
        "mandorla_peer_last_contact_timestamp_seconds",
        "When this lab and a peer were last in contact; 0 for never",
        ("peer",),
        [
            ((name,), max(peer_state.peer.last_contact, last_contact.get(name, 0)))
            for name, peer_state in peers
        ],
    )
    yield _gauges(
        "mandorla_peer_caught",
        "1 for a peer that forked its log, and is refused",
        ("peer",),
        [((name,), int(peer_state.peer.caught)) for name, peer_state in peers],
    )
    yield _gauges(
        "mandorla_peer_paused",
        "1 for a peer that the operator paused",
        ("peer",),
        [((name,), int(peer_state.peer.paused_at > 0)) for name, peer_state in peers],
    )
    yield _gauges(
        "mandorla_peer_certificate_end_timestamp_seconds",
        "When the certificate of a peer's card ends",
        ("peer",),
        [((name,), certificates.expires_at(peer_state.peer.card)) for name, peer_state in peers],
    )
    charged = CounterMetricFamily(
        "mandorla_evaluations_charged", "Evaluations that a peer was charged, padding included", labels=_TABLE
    )
    for name, peer_state in peers:
        for collection, count in peer_state.charged.items():
            charged.add_metric((name, collection), count)
    yield charged
    held = [
        ((name, collection), epoch)
        for name, peer_state in peers
        for collection, epoch in peer_state.current.items()
    ]
    for metric, help_text, values in (
        ("mandorla_key_epoch", "Number of the current key epoch for a peer", [e.number for _, e in held]),
        (
            "mandorla_key_epoch_end_timestamp_seconds",
            "When the current key epoch for a peer ends",
            [e.ends for _, e in held],
        ),
        (
            "mandorla_budget",
            "Evaluations that a peer may use in its current key epoch",
            [e.budget for _, e in held],
        ),
        (
            "mandorla_budget_spent",
            "Evaluations that a peer was charged in its current key epoch",
            [e.spent for _, e in held],
        ),
        (
            "mandorla_table_version",
            "Version of the table that this lab made for a peer",
            [e.table_version for _, e in held],
        ),
        (
            "mandorla_table_entries",
            "Entries of the table that this lab made for a peer, padding included",
            [e.table_entries for _, e in held],
        ),
    ):
        yield _gauges(metric, help_text, _TABLE, zip((labels for labels, _ in held), values, strict=True))
    peer_epochs = [
        ((name, epoch.collection), epoch) for name, peer_state in peers for epoch in peer_state.peer_epochs
    ]
    yield _gauges(
        "mandorla_peer_table_version",
        "Version of a peer's table that was read and verified",
        _TABLE,
        [(labels, epoch.table_version) for labels, epoch in peer_epochs],
    )
    yield _gauges(
        "mandorla_peer_table_entries",
        "Entries of a peer's table that were read and verified, padding included",
        _TABLE,
        [(labels, epoch.table_entries) for labels, epoch in peer_epochs],
    )
    yield _gauges(
        "mandorla_matches",
        "Current matches",
        ("peer", "kind"),
        [
            ((name, kind_label(kind)), count)
            for name, peer_state in peers
            for kind, count in peer_state.matches.items()
        ],
    )
    yield _gauges(
        "mandorla_sightings",
        "Indicators of which a peer reported a sighting",
        ("peer",),
        [((name,), peer_state.sightings) for name, peer_state in peers],
    )
    yield _gauges(
        "mandorla_log_cosigned_entries",
        "Entries of this lab's log that a peer cosigned",
        ("peer",),
        [((name,), peer_state.cosigned) for name, peer_state in peers],
    )
    yield _gauges(
        "mandorla_store_bytes",
        "Sizes of the store's files: the main one, and the write-ahead log",
        ("file",),
        [(("main",), state.main_bytes), (("wal",), state.wal_bytes)],
    )


def _backlog_families(backlog: Backlog) -> Iterator[Metric]:
    sizes: Counter[tuple[str, str]] = Counter()
    for name, target, count in backlog.sizes:
        sizes[target.value, REGISTRY[name].collection.value] += count
    yield _gauges(
        "mandorla_indicators", "Indicators in this lab's sets", ("set", "collection"), list(sizes.items())
    )
    yield _gauges(
        "mandorla_unpublished_indicators",
        "Flagged indicators whose current state the table for a peer does not show",
        _TABLE,
        [((gap.peer, gap.collection), gap.unpublished) for gap in backlog.gaps],
    )
    yield _gauges(
        "mandorla_uncompared_indicators",
        "Indicators of a set that were not yet compared with a peer's table",
        (*_TABLE, "set"),
        [
            ((gap.peer, gap.collection, target.value), count)
            for gap in backlog.gaps
            for target, count in gap.uncompared.items()
        ],
    )


def _single_gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)


def _gauges(
    name: str, help_text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family
