"""A scenario: the attackers, the labs, the honest users, and the source of each number.

Quantities carry their units in the text (`units`). Times count from the start of the scenario.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..kinds import OwnAction, PeerAction, ResourceKind
from ..study_options import Attack
from .units import Cents, Count, PerDay, Period, Positive, Seconds, Share, parse_duration, write_duration

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]


class Part(BaseModel):
    """A part of a scenario; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectionSignal(Part):
    """One way in which a lab detects an account.

    A signal on a kind applies while at least `needs` living accounts at the lab share the resource. A signal
    on `volume` applies while the account sends at least `threshold`. A signal that applies fires at `rate`
    for each account, and the lab acts after `delay`. `false_positives` is the rate at which it fires for each
    honest user.
    """

    on: Literal["volume"] | ResourceKind
    needs: Positive = 1
    threshold: PerDay = 0.0
    rate: PerDay
    delay: Seconds
    false_positives: PerDay = 0.0


class Review(Part):
    """A review: its duration, and the shares of attackers and of honest users that it blocks."""

    delay: Seconds
    catches: Share
    errs: Share


class ResponsePolicy(Part):
    """What a lab does about accounts that show flagged resources.

    `own` and `peers` give the action for the lab's own flags and for its peers' flags, by kind; a kind that
    is missing has no action. The lab acts on a peer's flag after `act`. Silent enforcement degrades the
    answers, and the attacker notices after `notice`. The attacker notices visible enforcement at once.
    """

    own: dict[ResourceKind, OwnAction]
    peers: dict[ResourceKind, PeerAction]
    act: Seconds
    silent: bool = False
    notice: Seconds = 0
    review: Review


class Lab(Part):
    """A lab: `vigilance` multiplies the rates of its signals; it releases a model at each of `releases`."""

    name: Name
    vigilance: Annotated[float, Field(ge=0, le=100)] = 1.0
    releases: tuple[Seconds, ...] = ()


class PublicPool(Part):
    """Resources that many honest users share, and that attackers may use too."""

    resources: Annotated[int, Field(ge=1, le=1_000_000)]
    users: Share


class Benign(Part):
    """The honest users.

    `memberships`: the share of users at each lab, in the order of the labs. `newcomers`: the share that
    arrives during the scenario. `company`: the share that uses the payment instrument and mail domain of a
    company of `company_size` users. `neighbours`: the number of users that share an address.
    """

    people: Annotated[int, Field(ge=0, le=10_000_000)]
    memberships: tuple[Share, ...]
    newcomers: Share
    company: Share
    company_size: Positive
    neighbours: Positive
    public: dict[ResourceKind, PublicPool] = {}

    @model_validator(mode="after")
    def _shareable(self) -> Self:
        for kind in self.public:
            if kind in {ResourceKind.PAYMENT, ResourceKind.DEVICE, ResourceKind.ADDRESS, ResourceKind.RELAY}:
                raise ValueError(f"{kind} cannot be public; mail_domain, template and sequence can")
        return self


class Relay(Part):
    """A network of exits that resells access; `customers` is the share of honest users behind it."""

    name: Name
    exits: Annotated[int, Field(ge=1, le=1_000_000)]
    turnover: Period
    customers: Share


class Pool(Part):
    """How a campaign uses one kind of resource.

    `accounts` accounts use each resource: at all labs together in a hydra, at each lab otherwise. `reuse` is
    the share of resources that the campaign uses at every lab. `public` is the share that it takes from the
    public pool. A new resource costs `cost`.
    """

    accounts: Positive
    reuse: Share = 1.0
    public: Share = 0.0
    cost: Cents = 0


class Rotate(StrEnum):
    """The rotation policies."""

    STAY = "stay"
    ROUND_ROBIN = "round-robin"
    FAIL_OVER = "fail-over"
    HYDRA = "hydra"


class Pivot(Part):
    """On a release, `share` of the accounts move to that lab within `within`."""

    share: Share
    within: Period


class Rotation(Part):
    """Where a campaign opens its next account.

    `stay`: at its first lab. `round-robin`: at the next lab after each `period`. `fail-over`: at the next lab
    after `moves_after` of the pool was blocked within `window`. `hydra`: at all labs at once.
    """

    policy: Rotate
    period: Period = 86_400
    window: Period = 86_400
    moves_after: Share = 0.2
    pivot: Pivot | None = None


class Adaptive(Part):
    """How an attacker learns from blocks.

    With probability `insight` it finds the resource that caused a block. It uses the resource for no further
    account, and after `delay` changes it on living accounts if the kind allows that. After `split_after`
    resources of a kind caused blocks at a second lab, it uses each resource of the kind at one lab only.
    After each `thin_after` resources of a kind that caused blocks at a first lab, it uses each for half as
    many accounts. Both make it pay for more resources.
    """

    insight: Share
    delay: Seconds
    split_after: Positive
    thin_after: Positive


class Campaign(Part):
    """The campaign of one attacker.

    The attacker keeps `pool` accounts at work. It replaces a lost account after about `replace`, as far as
    its `supply` of accounts and its `budget` allow. An account sends `rate`, plus or minus the share
    `spread`. With `stealth`, it sends at most that share of the lowest threshold on volume.
    """

    name: Name
    labs: tuple[Name, ...]
    start: Seconds = 0
    end: Period | None = None
    ramp: Period
    pool: Annotated[int, Field(ge=1, le=1_000_000)]
    rate: PerDay
    spread: Share = 0.0
    stealth: Share | None = None
    replace: Seconds
    supply: PerDay
    account_cost: Cents
    budget: Cents
    relay: Name
    rotation: Rotation
    resources: dict[ResourceKind, Pool]
    adaptive: Adaptive | None = None

    @model_validator(mode="after")
    def _resources_known(self) -> Self:
        if ResourceKind.ADDRESS in self.resources:
            raise ValueError("resources has no address: addresses come from the relay")
        return self


class Scheme(StrEnum):
    """The schemes of sharing."""

    NONE = "none"
    PLAINTEXT = "plaintext"
    BATCH = "mandorla-batch"
    WATCH = "mandorla-watch"


class Sharing(Part):
    """A way of sharing: a scheme and, for batches, the seconds between rounds."""

    scheme: Scheme
    period: int = 0

    def __str__(self) -> str:
        """Write it as in a scenario."""
        return (
            f"{self.scheme}/{write_duration(self.period)}"
            if self.scheme is Scheme.BATCH
            else str(self.scheme)
        )


_SHARING = re.compile(r"(none|plaintext|mandorla-watch)|(mandorla-batch)/(.+)")


def parse_sharing(value: object) -> object:
    """Read `none`, `plaintext`, `mandorla-watch`, or `mandorla-batch/PERIOD` such as `mandorla-batch/1h`.

    Raises ValueError that names the schemes.
    """
    if isinstance(value, Sharing):
        return value
    match = _SHARING.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            "sharing is none, plaintext, mandorla-watch, or mandorla-batch/PERIOD such as mandorla-batch/1h"
        )
    period = parse_duration(match[3]) if match[3] else 0
    if match[2] and period < 60:
        raise ValueError("batch rounds are at least 1min apart")
    return {"scheme": match[1] or match[2], "period": period}


SharingText: TypeAlias = Annotated[Sharing, BeforeValidator(parse_sharing)]
"""A way of sharing, read from text."""


class Protocol(Part):
    """The delays of the protocol, and the budget of evaluations in a key epoch (SPEC 8, 9).

    A batch round delivers its matches after `round_takes`. A watch announces a flag after `announce`. It asks
    about newly seen indicators once in each `micro_batch`, or later if its pace requires that (SPEC 19.3).
    """

    round_takes: Seconds
    announce: Seconds
    micro_batch: Period
    budget: Positive
    epoch: Period


class Reported(Part):
    """The source of a number that is publicly reported, and what it says."""

    source: Text
    says: Text


class Assumed(Part):
    """The range of a number that is assumed, as values or as factors (`x0.5`), and the reason."""

    low: str | int | float | tuple[str | int | float, ...]
    high: str | int | float | tuple[str | int | float, ...]
    why: Text


class Target(Part):
    """The number of exchanges that a campaign is reported to have extracted."""

    campaign: Name
    exchanges: Positive
    source: Text


class Scenario(Part):
    """A whole scenario.

    `base` names a preset that gives what the scenario leaves out. `attacks` are the attackers to compare:
    `configured` as in `campaigns`, `stay` the same without rotation, each at the least vigilant of its labs,
    and `adaptive` the same with the table `adaptive` for every campaign.
    """

    base: Name | None = None
    title: Text
    summary: Text
    days: Annotated[int, Field(ge=1, le=366)]
    seed: Count
    seeds: Annotated[int, Field(ge=1, le=1_000)]
    sharing: tuple[SharingText, ...]
    attacks: tuple[Attack, ...] = (Attack.CONFIGURED,)
    adaptive: Adaptive | None = None
    labs: tuple[Lab, ...]
    signals: tuple[DetectionSignal, ...]
    flags: dict[ResourceKind, Period]
    policy: ResponsePolicy
    benign: Benign
    relays: tuple[Relay, ...]
    campaigns: tuple[Campaign, ...]
    protocol: Protocol
    targets: tuple[Target, ...] = ()
    priors: dict[str, Reported | Assumed] = {}

    @property
    def horizon(self) -> int:
        """The end of the scenario, in seconds from its start."""
        return self.days * 86_400

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        labs = [lab.name for lab in self.labs]
        relays = [relay.name for relay in self.relays]
        campaigns = [campaign.name for campaign in self.campaigns]
        for what, names in (("labs", labs), ("relays", relays), ("campaigns", campaigns)):
            if not names:
                raise ValueError(f"{what}: at least one is needed")
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: two of them have the same name")
        if len(self.benign.memberships) != len(labs):
            raise ValueError(
                f"benign.memberships: one share is needed for each lab, and there are {len(labs)}"
            )
        if sum(relay.customers for relay in self.relays) > 1:
            raise ValueError("relays: the shares of customers add up to more than 1")
        for campaign in self.campaigns:
            if not campaign.labs or not set(campaign.labs) <= set(labs):
                raise ValueError(f"campaigns: labs of {campaign.name} must be among {', '.join(labs)}")
            if campaign.relay not in relays:
                raise ValueError(f"campaigns: relay of {campaign.name} is one of {', '.join(relays)}")
            if campaign.end is not None and campaign.end <= campaign.start:
                raise ValueError(f"campaigns: {campaign.name} ends before it starts")
        for target in self.targets:
            if target.campaign not in campaigns:
                raise ValueError(f"targets: there is no campaign {target.campaign}")
        if not self.sharing:
            raise ValueError("sharing: at least one scheme is needed")
        if not self.attacks:
            raise ValueError("attacks: at least one is needed")
        if Attack.ADAPTIVE in self.attacks and self.adaptive is None:
            raise ValueError("attacks: adaptive needs the table adaptive, which says how attackers adapt")
        return self
