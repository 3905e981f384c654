"""A node's configuration: `mandorla.toml` in its home, with `MANDORLA_...` variables over it."""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mandorla_protocol.card import require_endpoint
from mandorla_protocol.errors import Code, InputError, NodeError
from mandorla_protocol.indicators import REGISTRY, Collection

from .webhook_address import require_proxy, require_webhook

Positive = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Webhook = Annotated[str, AfterValidator(require_webhook)]
Proxy = Annotated[str, AfterValidator(require_proxy)]
Argument = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]


class RoundSettings(BaseModel):
    """What this lab agrees to in a round. Counts are evaluations; lifetimes are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: Text = "detecting adversarial distillation and related fraud"
    legal_basis: Text = "legitimate interest in the security of the service"
    budget: Positive = 2**21
    cap: Positive = 2**21
    lifetime: Annotated[int, Field(ge=60, le=7 * 24 * 3600)] = 24 * 3600
    epoch_lifetime: Annotated[int, Field(ge=3600)] = 30 * 24 * 3600
    epoch_shortest: Annotated[int, Field(ge=3600)] = 30 * 24 * 3600
    kinds: tuple[Literal["shared", "watch"], ...] = ("shared", "watch")
    report_sightings: bool = False
    take_sightings: bool = True
    max_table: Positive = 2**26
    prepare_every: Annotated[int, Field(ge=0)] = 600
    accepted_purposes: tuple[Text, ...] = ()
    accepted_legal_bases: tuple[Text, ...] = ()


class PeerRoundSettings(BaseModel):
    """What differs for a peer, or for a peer and a collection, from the rest of this file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[Literal["shared", "watch"], ...] | None = None
    budget: Positive | None = None
    cap: Positive | None = None
    epoch_lifetime: Annotated[int, Field(ge=3600)] | None = None
    epoch_shortest: Annotated[int, Field(ge=3600)] | None = None
    report_sightings: bool | None = None
    take_sightings: bool | None = None


class PeerSettings(PeerRoundSettings):
    """What differs for a peer: over all collections, and over some."""

    elements_per_second: Positive | None = None
    collections: dict[Collection, PeerRoundSettings] = {}


class ActionSettings(BaseModel):
    """When this lab's gateway should act on what is known of an indicator (docs/operators.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    own_evidence: bool = True
    """Whether this lab's own flag is enough."""
    labs: Annotated[int, Field(ge=1, le=64)] = 2
    """Peers that must have flagged it, where this lab has not."""
    types: dict[str, Annotated[int, Field(ge=1, le=64)]] = {}
    """The same, by type of indicator."""

    @field_validator("types")
    @classmethod
    def _registered(cls, types: dict[str, int]) -> dict[str, int]:
        unknown = ", ".join(sorted(types.keys() - REGISTRY.keys()))
        if unknown:
            raise ValueError(f"no such type: {unknown}")
        return types


class RetentionSettings(BaseModel):
    """How long this lab keeps what it needs no more. Seconds; 0 is for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    observed: Annotated[int, Field(ge=0)] = 0
    """After an indicator was seen last."""
    ended_matches: Annotated[int, Field(ge=0)] = 400 * 24 * 3600
    """After a match ended."""


class WatchSettings(BaseModel):
    """Standing rounds, in which peers' flags reach this lab as they are made (docs/operators.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    collections: tuple[Collection, ...] = tuple(Collection)
    lifetime: Annotated[int, Field(ge=60, le=7 * 24 * 3600)] = 3600
    """Seconds after which a standing round is closed, and the next one begun."""
    delay: Annotated[float, Field(ge=0, le=60)] = 0.02
    """Seconds for which what was observed waits for more, to be asked about together."""


class AuditSettings(BaseModel):
    """What this lab keeps for auditors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_elements: Annotated[int, Field(ge=0)] = 400 * 24 * 3600
    """Seconds for which the blinded and evaluated elements of a closed round are kept; 0 for ever."""


class StoreSettings(BaseModel):
    """Where the store is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = SecretStr("")
    """A PostgreSQL database, which belongs to this node alone; empty for an SQLite file in the home."""


class SuppressionSettings(BaseModel):
    """What is kept out of the flagged set because many share it (docs/formats.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    builtin: bool = True
    warning_lists: tuple[Text, ...] | None = None
    """MISP warning lists by their folders' names; None stands for those of shared infrastructure."""
    allow_lists: tuple[Text, ...] = ()
    """This lab's own files, or folders of them; relative to the home."""


class NotifySettings(BaseModel):
    """Which of the lab's own systems are told of each new match, and how (docs/gateway.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook: Webhook | None = None
    """An https address, or one of http on this machine alone."""
    command: tuple[Argument, ...] = ()
    """A program and its arguments, run without a shell; it reads the notice from its standard input."""
    secret_file: Path = Path("notify.secret")
    """What webhooks are signed with; relative to the home, and made if it is the default and missing."""
    ca_file: Path | None = None
    """Certificates that the webhook's must lead to, as PEM; None stands for those of the system."""
    proxy: Proxy | None = None
    """An HTTP proxy for the webhook; the environment's is never used."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 15.0
    """Seconds for one attempt."""


class KeySettings(BaseModel):
    """Where the key comes from that seals the home's secrets, and how certificates change. Times: seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["home", "file", "credential", "passphrase"] = "home"
    path: Text | None = None
    """Of the key's file; or of a file or a descriptor that holds the passphrase, instead of a terminal."""
    name: Text | None = None
    """Of the systemd credential."""
    overlap: Annotated[int, Field(ge=3600, le=90 * 24 * 3600)] = 7 * 24 * 3600
    """For how long a certificate goes on beside the one that follows it: this lab's, and a peer's."""
    renew_before: Annotated[int, Field(ge=0, le=400 * 24 * 3600)] = 30 * 24 * 3600
    """How long before its certificate expires the node renews it by itself; 0: never."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"file": self.path, "credential": self.name}
        if self.source in needed and not needed[self.source]:
            raise ValueError("a file needs its path, and a credential its name")
        return self


class LimitSettings(BaseModel):
    """What one peer may ask of this node. Sizes are bytes, times are seconds, rates are per second.

    `connections` is for all peers together, and for strangers, of whom nothing else is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    message_size: Annotated[int, Field(ge=1 << 20, le=1 << 26)] = 4 << 20
    streams: Positive = 32
    calls_at_once: Positive = 32
    calls_per_second: Positive = 100
    call_burst: Positive = 400
    elements_per_second: Positive = 200_000
    element_burst: Positive = 1_000_000
    chunks_per_second: Positive = 50
    chunk_burst: Positive = 5_000
    checkpoints_per_second: Positive = 1
    checkpoint_burst: Positive = 1_000
    rounds_per_hour: Positive = 240
    round_burst: Positive = 500
    call_timeout: Positive = 120
    handshake_timeout: Positive = 10
    connections: Positive = 4_096
    connection_age: Positive = 3600
    retries: Annotated[int, Field(ge=0)] = 4


class ObserveSettings(BaseModel):
    """Where this node lets itself be watched (docs/observing.md): HOST:PORT, or empty for nowhere.

    What it tells has no indicator in it, but volumes, and the names of peers: it stays on this machine unless
    the operator says otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = ""
    """Metrics, and health over HTTP."""
    health: str = ""
    """Health over gRPC."""
    expose: bool = False

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for name, address in (("listen", self.listen), ("health", self.health)):
            if not address:
                continue
            try:
                require_endpoint(address)
            except InputError as error:
                raise _bad(f"{name}: {error.detail}") from None
            if not (self.expose or _is_loopback(address_of(address)[0])):
                raise _bad(
                    f"{name}: {address} is not a loopback address, and metrics tell volumes;"
                    " expose = true lets others read them"
                )
        return self


class Settings(BaseSettings):
    """Everything that an operator may set."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="MANDORLA_", env_nested_delimiter="__"
    )
    toml_path: ClassVar[Path | None] = None

    lab: str
    listen: str
    endpoint: str
    engine: Literal["auto", "portable", "native"] = "auto"
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    rounds: RoundSettings = RoundSettings()
    watch: WatchSettings = WatchSettings()
    peers: dict[str, PeerSettings] = {}
    action: ActionSettings = ActionSettings()
    retention: RetentionSettings = RetentionSettings()
    audit: AuditSettings = AuditSettings()
    store: StoreSettings = StoreSettings()
    suppression: SuppressionSettings = SuppressionSettings()
    keys: KeySettings = KeySettings()
    limits: LimitSettings = LimitSettings()
    observe: ObserveSettings = ObserveSettings()
    notify: NotifySettings = NotifySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        return env_settings, TomlConfigSettingsSource(settings_cls, cls.toml_path)


def address_of(endpoint: str) -> tuple[str, int]:
    """Split HOST:PORT, whose syntax was checked."""
    host, _, port = endpoint.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def load_settings(path: Path) -> Settings:
    """Read a node's configuration.

    Raises NodeError(BAD_CONFIG) that names each wrong key and what would be right.
    """
    bound = type("BoundSettings", (Settings,), {"toml_path": path, "__annotations__": {}})
    try:
        settings = bound()
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NodeError(Code.BAD_CONFIG, f"{path.name}: {error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise NodeError(Code.BAD_CONFIG, f"{path.name}: {problems}") from None
    if not isinstance(settings, Settings):
        raise NodeError(Code.INTERNAL)
    return settings


def with_values(text: str, table: str, values: Mapping[str, str | None]) -> str:
    """Return a configuration with other values in one table, and all else as it was; None leaves a key out.

    The table "" is what stands before the first. Raises NodeError(BAD_CONFIG) if the file is written in a way
    that this does not follow: its operator has to change it by hand.
    """
    before, within, header, after = _split_at(text, table)
    assigned = re.compile(rf"\s*(?:{'|'.join(map(re.escape, values))})\s*=")
    kept = [line for line in within if not assigned.match(line)]
    made = [f"{key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None]
    changed = "".join([*before, *header, *made, *kept, *after])
    try:
        wanted = tomllib.loads(text)
        here = wanted.setdefault(table, {}) if table else wanted
        for key, value in values.items():
            here.pop(key, None)
            if value is not None:
                here[key] = value
        followed = tomllib.loads(changed) == wanted
    except (tomllib.TOMLDecodeError, AttributeError):
        followed = False
    if not followed:
        where = f"[{table}]" if table else "the first lines"
        what = ", ".join(made).replace("\n", "") or "nothing"
        raise NodeError(
            Code.BAD_CONFIG, f"change {where} of mandorla.toml by hand, to {what}; then try again"
        )
    return changed


def _split_at(text: str, table: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the lines before a table, those in it, its header, and those after it."""
    lines = text.splitlines(keepends=True)
    headers = [number for number, line in enumerate(lines) if re.match(r"\s*\[", line)]
    if not table:
        end = headers[0] if headers else len(lines)
        return [], lines[:end], [], lines[end:]
    for number in headers:
        if re.match(rf"\s*\[\s*{re.escape(table)}\s*\]", lines[number]):
            end = next((later for later in headers if later > number), len(lines))
            return lines[:number], lines[number + 1 : end], [lines[number]], lines[end:]
    gap = [] if not text or text.endswith("\n") else ["\n"]
    return [*lines, *gap], [], ["\n", f"[{table}]\n"], []


def initial_toml(lab: str, listen: str, endpoint: str) -> str:
    """Return the text of a new node's configuration file: what must be said, and what may be changed."""
    policy, watch, action = RoundSettings(), WatchSettings(), ActionSettings()
    audit, limits, keys = AuditSettings(), LimitSettings(), KeySettings()
    return f"""\
# This lab's node. Times are in seconds; what is commented out shows its default.
lab = "{lab}"
listen = "{listen}"
endpoint = "{endpoint}"    # what peers dial; it is part of the card

# engine = "auto"          # auto, portable or native
# workers = 0              # processes or threads for cryptography; 0: one for each core
# log_level = "info"
# log_format = "auto"      # json or console; auto: console on a terminal, and JSON lines elsewhere

[rounds]
purpose = "{policy.purpose}"
legal_basis = "{policy.legal_basis}"
# budget = {policy.budget}         # evaluations that a peer gets in one key epoch, per collection
# cap = {policy.cap}            # evaluations that a peer gets in one round
# lifetime = {policy.lifetime}
# epoch_lifetime = {policy.epoch_lifetime}
# epoch_shortest = {policy.epoch_shortest}  # a key whose budget is spent ends early, but not before this
# kinds = ["shared", "watch"]
# report_sightings = false   # tell peers which of their flags this lab has met
# take_sightings = true      # take note of what they tell
# prepare_every = {policy.prepare_every}     # how often tables are brought up to date unasked; 0: never
# max_table = {policy.max_table}      # entries of a peer's tag table, at most
# accepted_purposes = []     # other labs' wordings that this lab signs, beside its own
# accepted_legal_bases = []

[watch]
# enabled = true             # standing rounds with all peers: their flags reach this lab as they are made
# collections = [{", ".join(f'"{one.value}"' for one in watch.collections)}]
# lifetime = {watch.lifetime}            # a standing round is closed after this, and the next one begun
# delay = {watch.delay}               # what is observed waits this long for more, to be asked about together

# What differs for one peer, and for one peer and collection:
# [peers.lab-b]
# kinds = ["watch"]
# elements_per_second = {limits.elements_per_second}
# [peers.lab-b.collections.accounts]
# budget = 100000

[action]
# own_evidence = true        # what a check calls actionable: this lab's own flag,
# labs = {action.labs}                   # or that of as many peers,
# types = {{}}                 # or of as many as this says for a type: {{ email = 1 }}

[retention]
# observed = 0               # forget what was not seen for so long; 0: never
# ended_matches = {RetentionSettings().ended_matches}

[audit]
# keep_elements = {audit.keep_elements}   # how long evaluations can be rechecked; 0: always

[store]
# url = ""                   # empty: a file in this home; or postgresql://USER@HOST/DATABASE, this node's own

[suppression]
# builtin = true             # public resolvers, Private Relay, mail providers, universities
# warning_lists = []         # MISP warning lists, by name; left out: those of shared infrastructure
# allow_lists = []           # this lab's own: files, or folders of them, beside this file

[keys]
source = "{keys.source}"             # of the key that seals the home's secrets; home: none (`mandorla rekey`)
# overlap = {keys.overlap}         # how long a certificate is taken beside the one that follows it
# renew_before = {keys.renew_before}   # before its certificate expires the node renews it by itself; 0: never

[notify]
# webhook = "https://..."    # told of each new match, signed with notify.secret (docs/gateway.md)
# command = ["/path/to/program"]    # likewise, on its standard input

[limits]
# calls_per_second = {limits.calls_per_second}
# elements_per_second = {limits.elements_per_second}
# call_timeout = {limits.call_timeout}

[observe]
# listen = "127.0.0.1:9464"  # Prometheus metrics at /metrics, health at /healthz and /readyz; left out: off
# health = "127.0.0.1:9465"  # grpc.health.v1, which the operator's socket answers in any case
# expose = false             # allow addresses that other machines reach
"""


def _bad(said: str) -> PydanticCustomError:
    return PydanticCustomError("address", "{said}", {"said": said})


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
