"""All settings of a node: `mandorla.toml` in its home, and `MANDORLA_...` variables, which win over it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from mandorla_protocol.errors import Code, NodeError

from .home_settings import AuditSettings, KeySettings, RetentionSettings, StoreSettings
from .lab_settings import ActionSettings, NotifySettings, ObserveSettings, SuppressionSettings
from .peer_settings import LimitSettings, PeerSettings, RoundSettings, WatchSettings


class Settings(BaseSettings):
    """Everything that an operator can set, in the order of the file."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="MANDORLA_", env_nested_delimiter="__"
    )
    toml_path: ClassVar[Path | None] = None

    lab: str = Field(description="The lab's name in its card.")
    listen: str = Field(description="HOST:PORT on which the node listens for peers.")
    endpoint: str = Field(
        description="HOST:PORT that peers dial. The card states it: `mandorla renew --endpoint` changes both."
    )
    engine: Literal["auto", "portable", "native"] = Field(
        default="auto",
        description="The cryptographic engine: portable, native or auto. auto: native where it is installed.",
    )
    workers: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0,
        description="Threads for cryptography, or processes with the portable engine. 0: one for each core.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The lowest level that the log shows: debug, info, warning or error."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="The format of the log: json, console, or auto. auto: console on a terminal, else json.",
    )
    rounds: RoundSettings = RoundSettings()
    watch: WatchSettings = WatchSettings()
    action: ActionSettings = ActionSettings()
    suppression: SuppressionSettings = SuppressionSettings()
    notify: NotifySettings = NotifySettings()
    observe: ObserveSettings = ObserveSettings()
    store: StoreSettings = StoreSettings()
    keys: KeySettings = KeySettings()
    retention: RetentionSettings = RetentionSettings()
    audit: AuditSettings = AuditSettings()
    limits: LimitSettings = LimitSettings()
    peers: dict[str, PeerSettings] = Field(default={}, examples=["NAME"])

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


def load_settings(path: Path) -> Settings:
    """Read a node's configuration.

    Raises NodeError: BAD_CONFIG with each wrong key and what would be right.
    """
    bound = type("BoundSettings", (Settings,), {"toml_path": path, "__annotations__": {}})
    try:
        settings = bound()
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise NodeError(Code.BAD_CONFIG, f"{path.name}: {problems}") from None
    except SettingsError as error:
        detail = f"{error}; a variable for a list or a table holds JSON"
        raise NodeError(Code.BAD_CONFIG, f"the environment: {detail}") from None
    except UnicodeDecodeError:
        raise NodeError(Code.BAD_CONFIG, f"{path.name}: not UTF-8") from None
    except (OSError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise NodeError(Code.BAD_CONFIG, f"{path.name}: {error}") from None
    if not isinstance(settings, Settings):
        raise NodeError(Code.INTERNAL)
    return settings
