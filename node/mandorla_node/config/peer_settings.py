"""Settings of a lab's exchange with its peers: rounds, standing rounds, limits, and what differs for one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mandorla_protocol.indicators import Collection

from .section import DAY_S, HOUR_S, NotNegative, Positive, Section, Text

Kinds = tuple[Literal["shared", "watch"], ...]
RoundLifetime = Annotated[int, Field(ge=60, le=7 * DAY_S)]
EpochLifetime = Annotated[int, Field(ge=HOUR_S)]


class RoundSettings(Section):
    """What this lab agrees to in a round with a peer."""

    purpose: Text = Field(
        default="detecting adversarial distillation and related fraud",
        description="The purpose that this lab states in the signed header of each round.",
    )
    legal_basis: Text = Field(
        default="legitimate interest in the security of the service",
        description="The legal basis that this lab states in the signed header of each round.",
    )
    accepted_purposes: tuple[Text, ...] = Field(
        default=(), description="Purposes of peers that this lab signs, besides its own."
    )
    accepted_legal_bases: tuple[Text, ...] = Field(
        default=(), description="Legal bases of peers that this lab signs, besides its own."
    )
    kinds: Kinds = Field(
        default=("shared", "watch"),
        description="The kinds of round that peers may have with this lab. shared: both flagged sets. "
        "watch: the observed set against the flagged set. An empty list refuses all rounds.",
    )
    budget: Positive = Field(
        default=2**21,
        description="The number of evaluations that a peer can spend in one key epoch, for each collection.",
    )
    cap: Positive = Field(
        default=2**21, description="The number of evaluations that a peer can spend in one round."
    )
    lifetime: RoundLifetime = Field(default=DAY_S, description="Seconds after which a batch round expires.")
    epoch_lifetime: EpochLifetime = Field(
        default=30 * DAY_S, description="Seconds after which a key epoch ends."
    )
    epoch_shortest: EpochLifetime = Field(
        default=30 * DAY_S,
        description="Seconds for which a key epoch lasts at least. A key epoch whose budget is spent ends "
        "early, but not before this age.",
    )
    report_sightings: bool = Field(
        default=False, description="Whether this lab tells a peer which of the peer's flags it has met."
    )
    take_sightings: bool = Field(
        default=True, description="Whether this lab records the sightings that a peer reports."
    )
    max_table: Positive = Field(
        default=2**26, description="The number of entries in a peer's tag table, at most."
    )
    prepare_every: NotNegative = Field(
        default=600,
        description="Seconds between two updates of this lab's tag tables in the background. 0: the node "
        "updates a table when a round needs it.",
    )


class WatchSettings(Section):
    """Standing rounds, in which a peer's new flags reach this lab at once (docs/operators.md)."""

    enabled: bool = Field(
        default=True, description="Whether the node keeps a standing round with each peer and collection."
    )
    collections: tuple[Collection, ...] = Field(
        default=tuple(Collection), description="The collections that have standing rounds."
    )
    lifetime: RoundLifetime = Field(
        default=HOUR_S, description="Seconds after which the node closes a standing round and opens the next."
    )
    delay: Annotated[float, Field(ge=0, le=60)] = Field(
        default=0.02,
        description="Seconds for which a newly observed indicator waits for others, so that one request "
        "carries them all.",
    )


class LimitSettings(Section):
    """What one peer can ask of this node. A request over a limit is refused with RATE_LIMITED."""

    message_size: Annotated[int, Field(ge=1 << 20, le=1 << 26)] = Field(
        default=4 << 20, description="Bytes of a message that this node sends or takes as an answer, at most."
    )
    streams: Positive = Field(default=32, description="Calls that are open on one connection, at most.")
    calls_at_once: Positive = Field(default=32, description="Calls of one peer that are open, at most.")
    calls_per_second: Positive = Field(default=100, description="Calls of one peer per second.")
    call_burst: Positive = Field(
        default=400, description="Calls that a peer can make at once after it was idle."
    )
    elements_per_second: Positive = Field(
        default=200_000, description="Elements and tags per second that one peer can have processed."
    )
    element_burst: Positive = Field(
        default=1_000_000,
        description="Elements and tags that a peer can have processed at once after it was idle.",
    )
    chunks_per_second: Positive = Field(
        default=50, description="Chunks of elements per second that one peer can have evaluated."
    )
    chunk_burst: Positive = Field(
        default=5_000, description="Chunks that a peer can have evaluated at once after it was idle."
    )
    checkpoints_per_second: Positive = Field(
        default=1, description="Checkpoints per second that one peer can have cosigned."
    )
    checkpoint_burst: Positive = Field(
        default=1_000, description="Checkpoints that a peer can have cosigned at once after it was idle."
    )
    rounds_per_hour: Positive = Field(default=240, description="Rounds per hour that one peer can propose.")
    round_burst: Positive = Field(
        default=500, description="Rounds that a peer can propose at once after it was idle."
    )
    call_timeout: Positive = Field(
        default=120, description="Seconds that a call of a peer or to a peer can take."
    )
    handshake_timeout: Positive = Field(
        default=10,
        description="Seconds that the handshake of a connection from a peer or to a peer can take.",
    )
    connections: Positive = Field(
        default=4_096,
        description="Connections that are open, at most: of all peers together, and of strangers.",
    )
    connection_age: Positive = Field(
        default=3600,
        description="Seconds after which the node closes a connection, so that the peer dials again.",
    )
    retries: NotNegative = Field(
        default=4, description="Times that this node repeats a call to a peer after a failure that can pass."
    )


def _as_in(section: type[Section], name: str) -> Any:
    """Return a field that stands for a section's setting until the operator sets it for a peer."""
    setting = section.model_fields[name]
    return Field(default=None, description=setting.description, examples=[setting.default])


class PeerRoundSettings(Section):
    """What differs for one peer over one collection, from the tables rounds and peers.NAME."""

    kinds: Kinds | None = _as_in(RoundSettings, "kinds")
    budget: Positive | None = _as_in(RoundSettings, "budget")
    cap: Positive | None = _as_in(RoundSettings, "cap")
    epoch_lifetime: EpochLifetime | None = _as_in(RoundSettings, "epoch_lifetime")
    epoch_shortest: EpochLifetime | None = _as_in(RoundSettings, "epoch_shortest")
    report_sightings: bool | None = _as_in(RoundSettings, "report_sightings")
    take_sightings: bool | None = _as_in(RoundSettings, "take_sightings")


class PeerSettings(PeerRoundSettings):
    """What differs for one pinned peer, by its name, from the tables rounds and limits."""

    elements_per_second: Positive | None = _as_in(LimitSettings, "elements_per_second")
    collections: dict[Collection, PeerRoundSettings] = Field(default={}, examples=["accounts"])
