"""Settings of how the node works with the lab's own systems: lists, gateway, webhooks and monitoring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mandorla_protocol.card import require_endpoint
from mandorla_protocol.errors import InputError
from mandorla_protocol.indicators import REGISTRY

from .section import Section, Text
from .webhook_address import is_loopback, require_proxy, require_webhook

Labs = Annotated[int, Field(ge=1, le=64)]
Webhook = Annotated[str, AfterValidator(require_webhook)]
Proxy = Annotated[str, AfterValidator(require_proxy)]
Argument = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]


class ActionSettings(Section):
    """When a check calls an indicator actionable for this lab's gateway (docs/operators.md)."""

    own_evidence: bool = Field(default=True, description="Whether this lab's own flag is enough.")
    labs: Labs = Field(
        default=2, description="The number of peers whose flags are enough without this lab's own."
    )
    types: dict[str, Labs] = Field(
        default={}, description="That number by type of indicator, where it differs: { email = 1 }."
    )

    @field_validator("types")
    @classmethod
    def _registered(cls, types: dict[str, int]) -> dict[str, int]:
        unknown = ", ".join(sorted(types.keys() - REGISTRY.keys()))
        if unknown:
            raise ValueError(f"no such type: {unknown}")
        return types


class SuppressionSettings(Section):
    """Which shared infrastructure the node keeps out of the flagged set (docs/formats.md)."""

    builtin: bool = Field(
        default=True,
        description="Whether the built-in lists apply: public resolvers, iCloud Private Relay, mail "
        "providers and universities.",
    )
    warning_lists: tuple[Text, ...] | None = Field(
        default=None,
        description="MISP warning lists, by the names of their folders. Without this setting, the lists of "
        "shared infrastructure apply; an empty list turns all of them off.",
        examples=[["amazon-aws", "rfc1918"]],
    )
    allow_lists: tuple[Text, ...] = Field(
        default=(),
        description="This lab's own lists: files, or folders of files, relative to the home.",
    )


class NotifySettings(Section):
    """The lab's own systems that the node notifies of each new match (docs/gateway.md)."""

    webhook: Webhook | None = Field(
        default=None,
        description="An https address that receives each notice; http only on this machine.",
        examples=["https://alerts.example/mandorla"],
    )
    command: tuple[Argument, ...] = Field(
        default=(),
        description="A program and its arguments. The node runs it without a shell, and it reads the notice "
        "from its standard input.",
    )
    secret_file: Path = Field(
        default=Path("notify.secret"),
        description="The file of the secrets that sign webhooks, relative to the home. The node makes the "
        "default file when it is missing.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="The authorities that can certify the webhook, as PEM, relative to the home. Without "
        "this setting, the system's authorities.",
        examples=["internal-ca.pem"],
    )
    proxy: Proxy | None = Field(
        default=None,
        description="An HTTP proxy for the webhook. The node ignores proxies that the environment names.",
        examples=["http://proxy.example:3128"],
    )
    timeout: Annotated[float, Field(gt=0, le=300)] = Field(
        default=15.0, description="Seconds after which the node gives up an attempt."
    )


class ObserveSettings(Section):
    """Where monitoring can read this node's metrics and health (docs/observing.md).

    Metrics hold no indicator, but volumes and the names of peers.
    """

    listen: str = Field(
        default="",
        description="HOST:PORT for metrics and health over HTTP, such as 127.0.0.1:9464. Empty: off.",
    )
    health: str = Field(
        default="", description="HOST:PORT for health over gRPC, such as 127.0.0.1:9465. Empty: off."
    )
    expose: bool = Field(
        default=False, description="Whether the two addresses can be ones that other machines reach."
    )

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for name, address in (("listen", self.listen), ("health", self.health)):
            if not address:
                continue
            try:
                require_endpoint(address)
            except InputError as error:
                raise _wrong_address(f"{name}: {error.detail}") from None
            if not (self.expose or is_loopback(host_and_port(address)[0])):
                raise _wrong_address(
                    f"{name}: {address} is not a loopback address, and metrics tell volumes;"
                    " expose = true lets others read them"
                )
        return self


def host_and_port(endpoint: str) -> tuple[str, int]:
    """Split HOST:PORT, whose syntax the caller has checked."""
    host, _, port = endpoint.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _wrong_address(reason: str) -> PydanticCustomError:
    return PydanticCustomError("address", "{reason}", {"reason": reason})
