"""Steps (SPEC A.9): a request as closed classes, which each lab maps its own names, sizes and gaps to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

STEP_SIZE: Final = 6
"""The number of bytes of a step."""

SIZE_LIMITS: Final = (1, 64, 256, 1024, 4096, 16_384, 65_536, 262_144)
"""The characters at which classes of text sizes begin. A size below the first limit is class 0."""

GAP_LIMITS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
"""The seconds at which classes of gaps begin. A gap below the first limit is class 1; no gap is class 0."""


class Endpoint(IntEnum):
    """The type of a request's endpoint."""

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
    """The class of a model in its lab's range."""

    OTHER = 0
    FRONTIER = 1
    STANDARD = 2
    SMALL = 3
    REASONING = 4
    CODE = 5
    EMBEDDING = 6
    MEDIA = 7


class Tool(IntFlag):
    """The set of tools that a request offers to the model."""

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

    Sizes are in characters; 0 means unknown. `gap` is the number of seconds since the account's previous
    request; None means that there is none.
    """

    endpoint: Endpoint = Endpoint.OTHER
    model: ModelClass = ModelClass.OTHER
    tools: Tool = Tool.NONE
    prompt_size: int = 0
    answer_size: int = 0
    gap: int | None = None

    def encode(self) -> bytes:
        """Return the step's six bytes: endpoint, model, tools, two sizes and gap (SPEC A.9)."""
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
    """Return the class of a text's size in characters (SPEC A.9)."""
    return bisect_right(SIZE_LIMITS, characters)


def gap_class(seconds: int) -> int:
    """Return the class of a gap in whole seconds (SPEC A.9)."""
    return 1 + bisect_right(GAP_LIMITS, seconds)
