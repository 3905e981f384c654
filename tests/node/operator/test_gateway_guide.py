"""The gateway guide's code runs, and the example decides as its policy says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.app.node import running
from mandorla_node.config.default_file import initial_toml
from mandorla_node.config.settings import load_settings
from mandorla_node.home.folder import Home
from mandorla_node.notices.secrets import signature
from mandorla_protocol.errors import Code
from mandorla_protocol.labels import Label, Severity
from tests.support import labs
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "gateway.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


async def python(home: Home, folder: Path, *arguments: str, sent: bytes = b"", lines: int = 0) -> str:
    """Run Python until it ends, or has written so many lines; return them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "MANDORLA_HOME": str(home.path)},
    )
    assert process.stdin and process.stdout
    try:
        if not lines:
            out, _ = await process.communicate(sent)
            assert process.returncode == 0
            return out.decode()
        return b"".join([await process.stdout.readline() for _ in range(lines)]).decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def gateway(folder: Path) -> Home:
    """A lab two of whose peers flagged what it has observed: of the first of three, both did."""
    home, *peers = labs.make_labs(folder, "alder", "birch", "cedar")
    labs.record_matches(home, peers[0], labs.addresses([1]), Label(severity=Severity.LOW))
    labs.record_matches(home, peers[1], labs.addresses([1, 2]), Label(severity=Severity.HIGH))
    labs.record_matches(home, peers[1], labs.addresses([3]), Label(severity=Severity.MEDIUM))
    labs.ingest(home, ["ours.example"], kind="mail-domain")
    return home


def test_the_guide_asks_and_follows(folder: Path, gateway: Home) -> None:
    asking, following, _ = blocks("python")

    async def journey() -> None:
        async with running(gateway):
            asked = (await python(gateway, folder, "-c", asking)).splitlines()
            assert asked[0] == "x.example False [] ()"
            assert asked[-2:] == ["1 0 ()", "BAD_INDICATOR"]
            first = await python(gateway, folder, "-c", following, lines=2)
            assert [line.split()[:4] for line in first.splitlines()] == [
                ["1", "ipv4", "198.18.0.1", "birch"],
                ["2", "ipv4", "198.18.0.1", "cedar"],
            ]
            (folder / "last-match").write_text("3")
            rest = await python(gateway, folder, "-c", following, lines=1)
            assert rest.split()[:4] == ["4", "ipv4", "198.18.0.3", "cedar"]

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_the_example_acts_on_a_policy_and_on_no_single_claim(folder: Path, gateway: Home) -> None:
    signups: list[Any] = [
        {
            "email": "New.One@fresh.example",
            "ip": "198.18.0.9",
            "device": "6fa459ea-ee8a-3ca4-894e-db77e160355e",
        },
        {"email": "a@ours.example", "ip": "198.18.0.9"},
        {"email": "b@fresh.example", "ip": "198.18.0.1"},
        {"ip": "198.18.0.2"},
        {"ip": "198.18.0.3"},
        {"email": "not an address", "ip": "nor this", "device": 7},
        [],
    ]
    sent = b"".join(json.dumps(one).encode() + b"\n" for one in signups) + b"sentinel\n"
    command = (str(ROOT / "examples" / "signups.py"), str(gateway.path))

    async def journey() -> str:
        async with running(gateway):
            return await python(gateway, folder, *command, sent=sent)

    decided = [json.loads(line) for line in asyncio.run(asyncio.wait_for(journey(), PATIENCE)).splitlines()]
    assert [(one["decision"], one["because"]) for one in decided] == [
        ("allow", "no lab flagged it"),
        ("refuse", "this lab flagged it"),
        ("refuse", "2 labs flagged it"),
        ("challenge", "one lab flagged it with high severity"),
        ("allow", "one lab flagged it"),
        ("allow", "no lab flagged it"),
        ("error", "the line is not an object"),
        ("error", "the line is not JSON"),
    ]
    away = asyncio.run(python(gateway, folder, *command, sent=b'{"ip": "198.18.0.1"}\n'))
    assert json.loads(away) == {"decision": "allow", "because": "no answer: NODE_NOT_RUNNING"}


def test_the_guide_verifies_what_the_node_signs(folder: Path) -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[-1], names)
    now, key, body = int(time.time()), bytes(range(32)), b'{"type":"match.began"}'
    secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    headers = {"webhook-id": "m-1", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = signature([bytes(32), key], "m-1", now, body)
    names["verify"](headers, body, secret)
    for changed in ({"webhook-id": "m-2"}, {"webhook-timestamp": str(now - 1)}, {"webhook-timestamp": "0"}):
        with pytest.raises(ValueError, match=r"not signed|old"):
            names["verify"](headers | changed, body, secret)
    with pytest.raises(ValueError, match="not signed"):
        names["verify"](headers, body + b" ", secret)


def test_the_guide_configures_and_names_what_there_is(folder: Path) -> None:
    (configuration,) = blocks("toml")
    path = folder / "mandorla.toml"
    path.write_text(
        initial_toml("alder", "127.0.0.1:7443", "127.0.0.1:7443").split("[notify]")[0] + configuration
    )
    notify = load_settings(path).notify
    assert notify.model_fields_set == set(type(notify).model_fields)
    (example,) = blocks("json")
    assert json.loads(example)["type"] == "match.began"
    calls = operator_pb2.DESCRIPTOR.services_by_name["Operator"].methods_by_name
    for call in calls:
        assert f"| `{call}` |" in GUIDE
    table = GUIDE[GUIDE.index("| code | when |") :]
    for name in re.findall(r"`([A-Z_]+)`", table):
        assert name in Code.__members__
