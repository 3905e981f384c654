"""A guide's blocks, read: which host runs which command, and what is then on its screen.

A block that is to be run is fenced as `console`. A line of it is a command after the name of a host and a
prompt, as in `alder$ mandorla status`; `each` stands for every host, and lines after `> ` go on with the
command before. Other lines are what is shown; `...` in them stands for anything. A comment `<!-- guide:
WORDS -->` is a step for the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COMMAND = re.compile(r"(?P<host>[a-z]+)[$#] (?P<command>.*)")
_PART = re.compile(
    r"^<!-- guide: (?P<step>.+?) -->$|^```console\n(?P<block>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Step:
    """What the guide says to the test, and to nobody else."""

    said: str


@dataclass
class Command:
    """A command, and the lines that it shows."""

    host: str
    text: str
    shown: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether it shows the code of an error first."""
        return bool(self.shown) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+|PAUSED", self.shown[0]) is not None

    def missing(self, printed: str) -> list[str]:
        """Return the lines that it shows in the guide, and did not print."""
        lines = [" ".join(line.split()) for line in printed.splitlines()]
        patterns = [re.escape(" ".join(line.split())).replace(r"\.\.\.", ".*") for line in self.shown]
        return [
            line
            for line, pattern in zip(self.shown, patterns, strict=True)
            if not any(re.fullmatch(pattern, one) for one in lines)
        ]


def read_guide(text: str) -> list[Step | Command]:
    """Return what a guide has done, in its order. Raises ValueError for a block that begins otherwise."""
    parts: list[Step | Command] = []
    for part in _PART.finditer(text):
        if part["step"]:
            parts.append(Step(part["step"]))
            continue
        commands: list[Command] = []
        for line in part["block"].splitlines():
            if found := _COMMAND.fullmatch(line):
                commands.append(Command(found["host"], found["command"]))
            elif not commands:
                raise ValueError(line)
            elif line == ">" or line.startswith("> "):
                commands[-1].text += "\n" + line[2:]
            elif line.strip():
                commands[-1].shown.append(line)
        parts += commands
    return parts
