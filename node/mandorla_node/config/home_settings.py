"""Settings of what a lab keeps in its home: the store, the key of the home, and how long records are kept."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from .section import DAY_S, HOUR_S, NotNegative, Section, Text


class StoreSettings(Section):
    """Where the store is (docs/storage.md)."""

    url: SecretStr = Field(
        default=SecretStr(""),
        description="A PostgreSQL database that this node alone uses: postgresql://USER@HOST/DATABASE. "
        "Empty: an SQLite file in the home.",
    )


class RetentionSettings(Section):
    """How long this lab keeps records."""

    observed: NotNegative = Field(
        default=0,
        description="Seconds for which the node keeps an observed indicator, with its matches, after it was "
        "seen last. 0: without end.",
    )
    ended_matches: NotNegative = Field(
        default=400 * DAY_S,
        description="Seconds for which the node keeps a match after it ended. 0: without end.",
    )


class AuditSettings(Section):
    """What this lab keeps for auditors (docs/audit.md)."""

    keep_elements: NotNegative = Field(
        default=400 * DAY_S,
        description="Seconds for which the node keeps the blinded and evaluated elements of a closed round, "
        "so that an auditor can check them again. 0: without end.",
    )


class KeySettings(Section):
    """The key that seals the secrets of the home, and the change of certificates (docs/keys.md)."""

    source: Literal["home", "file", "credential", "passphrase"] = Field(
        default="home",
        description="Where the key comes from. home: the secrets are plain files in the home. "
        "`mandorla rekey` changes the source, and this setting with it.",
    )
    path: Text | None = Field(
        default=None,
        description="The key's file, relative to the home. For a passphrase, a file or a descriptor that "
        "holds it; without one, the node asks at the terminal.",
        examples=["/mnt/keys/lab.key"],
    )
    name: Text | None = Field(
        default=None, description="The name of the systemd credential.", examples=["lab-key"]
    )
    overlap: Annotated[int, Field(ge=HOUR_S, le=90 * DAY_S)] = Field(
        default=7 * DAY_S,
        description="Seconds for which a certificate of this lab or of a peer stays valid after the next one "
        "was issued.",
    )
    renew_before: Annotated[int, Field(ge=0, le=400 * DAY_S)] = Field(
        default=30 * DAY_S,
        description="Seconds before its certificate's end at which the node renews it. 0: never.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        required = {"file": self.path, "credential": self.name}
        if self.source in required and not required[self.source]:
            raise ValueError("a file needs its path, and a credential its name")
        return self
