"""Steps (SPEC A.9): a request in the closed classes that every lab's names, sizes and gaps fall into."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

STEP_SIZE: Final = 6
"""Bytes of a step."""

SIZE_LIMITS: Final = (1, 64, 256, 1024, 4096, 16_384, 65_536, 262_144)
"""Characters at which a class of sizes begins; below the first is class 0."""

GAP_LIMITS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
"""Seconds at which a class of gaps begins; below the first is class 1, and no gap at all is class 0."""


class Endpoint(IntEnum):
    """What a request asks for."""

    OTHER = 0
    CHAT = 1
    COMPLETION = 2
    EMBEDDING = 3
    BATCH = 4
    FILE = 5
    IMAGE = 6
    AUDIO = 7
    MODERATION = 8
    LISTING = 9


class ModelClass(IntEnum):
    """The place of a model in its lab's range."""

    OTHER = 0
    FRONTIER = 1
    STANDARD = 2
    SMALL = 3
    REASONING = 4
    CODE = 5
    EMBEDDING = 6
    MEDIA = 7


class Tool(IntFlag):
    """Tools that a request offers to the model: a set."""

    NONE = 0
    SEARCH = 1
    CODE = 2
    BROWSER = 4
    FILES = 8
    COMPUTER = 16
    FUNCTION = 32
    OTHER = 64


@dataclass(frozen=True, slots=True)
class Step:
    """One request of an account.

    Sizes are in characters, 0 if unknown. `gap` is in seconds since the account's last request, None if there
    is none.
    """

    endpoint: Endpoint = Endpoint.OTHER
    model: ModelClass = ModelClass.OTHER
    tools: Tool = Tool.NONE
    prompt_size: int = 0
    answer_size: int = 0
    gap: int | None = None

    def encode(self) -> bytes:
        """Return the step as six bytes (SPEC A.9): endpoint, model, tools, sizes and gap."""
        return bytes(
            (
                self.endpoint,
                self.model,
                self.tools,
                text_size_class(self.prompt_size),
                text_size_class(self.answer_size),
                0 if self.gap is None else gap_class(self.gap),
            )
        )


def text_size_class(characters: int) -> int:
    """Return the class of a size in characters (SPEC A.9)."""
    return bisect_right(SIZE_LIMITS, characters)


def gap_class(seconds: int) -> int:
    """Return the class of a gap in whole seconds (SPEC A.9)."""
    return 1 + bisect_right(GAP_LIMITS, seconds)
