"""Check sign-ups against what this lab and its peers flagged.

    python examples/signups.py HOME < signups.jsonl

Each line of standard input is a sign-up: a JSON object with any of `email`, `ip` and `device`. Each line of
output is a decision (`refuse`, `challenge` or `allow`) and its reason. A match is a peer's claim, so the
policy refuses nobody on the claim of one peer: it asks for this lab's own flag, or the flags of two peers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address

from mandorla_node.client import Client, MandorlaError, Severity, Verdict
from mandorla_protocol.indicators import Indicator

DEADLINE = 2.0
"""The longest time that a sign-up waits for an answer, in seconds."""


def indicators(signup: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the indicators of a sign-up, as type and value; leave out values that are not valid."""
    email, ip, device = (str(signup.get(name) or "") for name in ("email", "ip", "device"))
    candidates = [("email", email), ("mailbox", email), ("mail-domain", email.rpartition("@")[2])]
    with suppress(ValueError):
        candidates.append((f"ipv{ip_address(ip).version}", ip))
    for kind, text in (*candidates, ("device-id", device)):
        try:
            Indicator.parse(kind, text)
        except MandorlaError:
            continue
        yield kind, text


def decide(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Apply the policy to the verdicts on a sign-up's indicators; return the decision and the reason."""
    if any(verdict.flagged_here for verdict in verdicts):
        return "refuse", "this lab flagged it"
    matches = [match for verdict in verdicts for match in verdict.matches]
    labs = {match.peer for match in matches}
    if len(labs) >= 2:
        return "refuse", f"{len(labs)} labs flagged it"
    if any(match.label.severity >= Severity.HIGH for match in matches):
        return "challenge", "one lab flagged it with high severity"
    return "allow", "one lab flagged it" if labs else "no lab flagged it"


async def answer(client: Client, line: str) -> tuple[str, str]:
    """Decide on one sign-up."""
    try:
        signup = json.loads(line)
    except ValueError:
        return "error", "the line is not JSON"
    if not isinstance(signup, dict):
        return "error", "the line is not an object"
    try:
        return decide(await client.check_many(indicators(signup), deadline=DEADLINE))
    except MandorlaError as error:
        # Each lab decides whether sign-ups go on while the node is away.
        return "allow", f"no answer: {error.code.name}"


async def main(home: str) -> None:
    """Answer line by line."""
    async with Client(home, patience=DEADLINE) as client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            decision, reason = await answer(client, line)
            sys.stdout.write(json.dumps({"decision": decision, "because": reason}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
