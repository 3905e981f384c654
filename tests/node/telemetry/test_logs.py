"""Each line about a round says which one, with whom, of which kind and over what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import grpc
import pytest
import structlog

from mandorla.v1 import exchange_pb2
from mandorla_node.home.folder import Home
from mandorla_node.telemetry.logs import configure_logs
from tests.support.hostile import COLLECTION, TIMEOUT, HostileLab, channel_to, hello_request
from tests.support.labs import SHARED, addresses, ingest, make_home, make_labs, run_round, serving

NAMES = ("round", "peer", "kind", "collection")


def test_every_line_about_a_round_names_it(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(10)))
    ingest(b, addresses(range(5, 15)))

    async def journey() -> tuple[str, str]:
        async with serving(a, b) as (at_a, _):
            first = await run_round(at_a, "lab-b", SHARED)
            await asyncio.gather(refused_in_a_round(b, a), run_round(at_a, "lab-b", SHARED))
            return first.round_id.hex(), first.outcome

    async def refused_in_a_round(own: Home, victim: Home) -> None:
        # A call about nothing has no names but the peer's.
        async with channel_to(victim.card, own) as hostile:
            for call in (
                hostile.Hello(hello_request(collection="nonsense"), timeout=TIMEOUT),
                hostile.Evaluate(exchange_pb2.EvaluateRequest(round_id=bytes(16)), timeout=TIMEOUT),
            ):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call

    configure_logs("debug")
    try:
        round_id, outcome = asyncio.run(journey())
    finally:
        structlog.reset_defaults()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    about = [line for line in lines if line["event"].startswith("round ")]
    assert {line["event"] for line in about} == {"round agreed", "round ended", "round compared"}
    expected = {"kind": "shared", "collection": "infrastructure"}
    assert all(expected.items() <= line.items() and set(NAMES) <= set(line) for line in about)
    first = [(line["event"], line["peer"]) for line in about if line["round"] == round_id]
    assert sorted(first) == sorted(
        (event, peer)
        for event in ("round agreed", "round ended", "round compared")
        for peer in ("lab-a", "lab-b")
    )
    (ended, *_) = [line for line in about if (line["event"], line["peer"]) == ("round ended", "lab-b")]
    assert (ended["state"], ended["code"]) == (outcome, "")
    refused = [line for line in lines if line["event"] == "call refused"]
    assert {line["code"] for line in refused} >= {"POLICY_REFUSED", "UNKNOWN_ROUND"}
    assert all({"peer", "method", "code"} <= set(line) for line in refused)


def test_a_call_that_is_refused_in_a_round_names_the_round(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    victim, own = make_labs(folder, "victim", "hostile")
    lab = HostileLab(own, victim.card)

    async def journey() -> Mapping[str, str]:
        async with lab.serving(), serving(victim), channel_to(victim.card, own) as channel:
            header = await lab.agree(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.Evaluate(
                    exchange_pb2.EvaluateRequest(round_id=header.round_id, index=10_000, blinded=bytes(64)),
                    timeout=TIMEOUT,
                )
            return {
                "round": header.round_id.hex(),
                "peer": "hostile",
                "kind": "shared",
                "collection": COLLECTION,
            }

    configure_logs("debug")
    try:
        names = asyncio.run(journey())
    finally:
        structlog.reset_defaults()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (refused,) = [line for line in lines if line.get("method") == "Evaluate"]
    assert names.items() <= refused.items()


def test_lines_for_a_console_are_no_json(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = make_home(folder, "lab-a")

    async def journey() -> None:
        async with serving(home):
            pass

    for form, is_json in (("json", True), ("console", False), ("auto", True)):
        configure_logs("info", form)
        try:
            asyncio.run(journey())
        finally:
            structlog.reset_defaults()
        said = capfd.readouterr().err
        assert "serving" in said
        assert said.startswith("{") is is_json
