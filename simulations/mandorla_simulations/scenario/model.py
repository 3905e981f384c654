"""A scenario: who attacks, what the labs do, who else is there, and where each number comes from.

Every field's unit is part of its text (`units`). Times count from the scenario's start.
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
    """A part of a scenario: unknown keys are errors, and nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectionSignal(Part):
    """One way in which a lab detects an account.

    A signal on a kind applies while at least `needs` live accounts of this lab share the resource; one on
    `volume` while the account sends at least `threshold`. Where it applies, it fires at `rate` for each
    account; the lab has made sure after `delay`. `false_positives` counts benign users in the same way.
    """

    on: Literal["volume"] | ResourceKind
    needs: Positive = 1
    threshold: PerDay = 0.0
    rate: PerDay
    delay: Seconds
    false_positives: PerDay = 0.0


class Review(Part):
    """How a lab looks at accounts that share an indicator with a peer's flag."""

    delay: Seconds
    catches: Share
    errs: Share


class ResponsePolicy(Part):
    """What a lab does with what it knows.

    `own`: what its own flag on a kind does to the accounts that show the resource, and `peers` what a peer's
    does; kinds that are left out lead to nothing. Silent enforcement degrades answers, and
    the attacker notices after `notice`; visible enforcement it notices at once.
    """

    own: dict[ResourceKind, OwnAction]
    peers: dict[ResourceKind, PeerAction]
    act: Seconds
    silent: bool = False
    notice: Seconds = 0
    review: Review


class Lab(Part):
    """A lab. `vigilance` multiplies the rates of its signals; a model is released at each of `releases`."""

    name: Name
    vigilance: Annotated[float, Field(ge=0, le=100)] = 1.0
    releases: tuple[Seconds, ...] = ()


class PublicPool(Part):
    """Resources that benign users share with each other, and that attackers may use too."""

    resources: Annotated[int, Field(ge=1, le=1_000_000)]
    users: Share


class Benign(Part):
    """The people who use the labs for what they are for.

    `memberships`: the share of people that uses each lab, in the order of the labs. `newcomers`: how many of
    them arrive during the scenario. `company`: the share whose payment instrument and mail domain are those
    of a company of `company_size`. `neighbours` share an address.
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
    """A network of exits that resells access: `customers` is the share of benign people who use it too."""

    name: Name
    exits: Annotated[int, Field(ge=1, le=1_000_000)]
    turnover: Period
    customers: Share


class Pool(Part):
    """How a campaign spends one kind of resource.

    `accounts` use each resource, at all labs together if the campaign is everywhere at once (hydra), and else
    at each lab that it comes to. `reuse` is the share of resources that serves at every lab, and
    `public` the share taken from what benign users share. A fresh one costs `cost`.
    """

    accounts: Positive
    reuse: Share = 1.0
    public: Share = 0.0
    cost: Cents = 0


class Rotate(StrEnum):
    """Where a campaign opens its next account."""

    STAY = "stay"
    ROUND_ROBIN = "round-robin"
    FAIL_OVER = "fail-over"
    HYDRA = "hydra"


class Pivot(Part):
    """On a release, `share` of the accounts move to that lab, within `within`."""

    share: Share
    within: Period


class Rotation(Part):
    """The rotation policy.

    `stay` keeps to the first lab. `round-robin` opens at the next lab each `period`. `fail-over` goes on to
    the next lab when `moves_after` of the pool was blocked within `window`. `hydra` is at all labs at once.
    """

    policy: Rotate
    period: Period = 86_400
    window: Period = 86_400
    moves_after: Share = 0.2
    pivot: Pivot | None = None


class Adaptive(Part):
    """An attacker that learns what gets it blocked.

    It finds out why an account was blocked with probability `insight`, and drops that resource after `delay`:
    what can be changed on a living account it changes. After `split_after` resources of one kind were
    blamed at a second lab, it uses those of that kind at one lab only; after every `thin_after` that were
    blamed at a first, it uses each for half as many accounts. Either way it pays for more resources.
    """

    insight: Share
    delay: Seconds
    split_after: Positive
    thin_after: Positive


class Campaign(Part):
    """One operator.

    It keeps `pool` accounts at work, and replaces a lost one after about `replace`, as long as `supply` a day
    and `budget` allow. Each sends about `rate`, from `spread` below to `spread` above; with `stealth`, at
    most that share of the lowest threshold on volume.
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
            raise ValueError("addresses come from the relay, so resources has no address")
        return self


class Scheme(StrEnum):
    """How labs share."""

    NONE = "none"
    PLAINTEXT = "plaintext"
    BATCH = "mandorla-batch"
    WATCH = "mandorla-watch"


class Sharing(Part):
    """A scheme, and for batches the period between rounds in seconds."""

    scheme: Scheme
    period: int = 0

    def __str__(self) -> str:
        """Write it as a scenario does."""
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
"""A scheme as it is written."""


class Protocol(Part):
    """What the protocol takes (SPEC 8, 9): delays, and the budget of evaluations in a key epoch.

    A batch round delivers after `round_takes`; a watch announces after `announce`, and asks for newly seen
    indicators once each `micro_batch`, padded, or later where the pace of asking wants it (SPEC 19.3).
    """

    round_takes: Seconds
    announce: Seconds
    micro_batch: Period
    budget: Positive
    epoch: Period


class Reported(Part):
    """A number that is publicly reported, and by whom."""

    source: Text
    says: Text


class Assumed(Part):
    """A number that is assumed: its range, as the parameter is written or as factors, and why."""

    low: str | int | float | tuple[str | int | float, ...]
    high: str | int | float | tuple[str | int | float, ...]
    why: Text


class Target(Part):
    """What a campaign is publicly reported to have extracted, in exchanges."""

    campaign: Name
    exchanges: Positive
    source: Text


class Scenario(Part):
    """A whole scenario.

    `base` names a preset that says what the scenario does not. `attacks` are the attackers to compare:
    `configured` is what `campaigns` say, `stay` the same without rotation, each at the
    least vigilant of its labs, `adaptive` the same where every
    campaign learns as `adaptive` says.
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
                raise ValueError(f"{what}: there are none")
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: two have the same name")
        if len(self.benign.memberships) != len(labs):
            raise ValueError(
                f"benign.memberships: one share is needed for each lab, and there are {len(labs)}"
            )
        if sum(relay.customers for relay in self.relays) > 1:
            raise ValueError("relays: together they have more customers than there are people")
        for campaign in self.campaigns:
            if not campaign.labs or not set(campaign.labs) <= set(labs):
                raise ValueError(f"campaigns: labs of {campaign.name} are some of {', '.join(labs)}")
            if campaign.relay not in relays:
                raise ValueError(f"campaigns: relay of {campaign.name} is one of {', '.join(relays)}")
            if campaign.end is not None and campaign.end <= campaign.start:
                raise ValueError(f"campaigns: {campaign.name} ends before it starts")
        for target in self.targets:
            if target.campaign not in campaigns:
                raise ValueError(f"targets: {target.campaign} is no campaign")
        if not self.sharing:
            raise ValueError("sharing: at least one scheme is needed")
        if not self.attacks:
            raise ValueError("attacks: at least one is needed")
        if Attack.ADAPTIVE in self.attacks and self.adaptive is None:
            raise ValueError("attacks: adaptive is named, so the table adaptive must say how they learn")
        return self
