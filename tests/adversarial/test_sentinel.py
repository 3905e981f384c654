"""Values planted in every input appear nowhere but where they belong.

Two labs ingest sentinels that they do not share, one that they do, and rows that cannot be read. Then every
byte that crosses between them, every log line, and every refusal is searched for each sentinel, for its
token and for plain hashes of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
import structlog
from google.protobuf.message import Message

from mandorla.v1 import exchange_pb2, operator_pb2
from mandorla_node.peers import admission, client
from mandorla_node.store import IndicatorSet
from mandorla_node.telemetry.logs import configure_logs
from mandorla_protocol.errors import MandorlaError
from mandorla_protocol.indicators import Indicator
from tests.support.hostile import TIMEOUT, channel_to, hello_request
from tests.support.labs import SHARED, WATCH, ingest, make_labs, run_round, serving
from tests.support.scraper import get, watched

ONLY_A = [f"sentinel-only-a-{n}.example.org" for n in range(5)]
ONLY_B = [f"sentinel-only-b-{n}.example.org" for n in range(5)]
SHARED_DOMAIN = "sentinel-shared.example.org"
BAD = ["sentinel bad row", "sentinel-bad..example.org", "sentinel\x00bad"]


def traces(value: str) -> list[bytes]:
    """Return what would give a value away."""
    raw = value.encode()
    found = [
        raw,
        raw[:12],
        hashlib.sha256(raw).digest(),
        hashlib.sha1(raw).digest(),
        hashlib.md5(raw).digest(),
    ]
    try:
        indicator = Indicator.parse("domain", value)
    except MandorlaError:
        return [*found, found[2].hex().encode()]
    token = indicator.token()
    return [*found, token, token.hex().encode(), indicator.encode(), found[2].hex().encode()]


@pytest.mark.spec("A.1-6", "9.9-4")
def test_no_sentinel_leaves_its_lab(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wire: list[bytes] = []
    refusals: list[str] = []
    _record_messages(monkeypatch, wire)
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        for home, values in ((a, ONLY_A), (b, ONLY_B)):
            report = ingest(home, [*values, SHARED_DOMAIN, *BAD], kind="domain")
            assert report.rejected_total == len(BAD)
            refusals.extend(row.reason for row in report.rejected)
            ingest(home, values, IndicatorSet.OBSERVED, "domain")
        async with serving(a, b) as (at_a, _), channel_to(a.card, b) as hostile:
            for kind in (SHARED, WATCH, SHARED):
                assert (await run_round(at_a, "lab-b", kind)).outcome == "committed"
            for bad in BAD:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    item = operator_pb2.Indicator(type="domain", value=bad)
                    await at_a.Check(operator_pb2.CheckRequest(indicators=[item]))
                refusals.append(str(caught.value))
            for call in (
                hostile.Hello(hello_request(collection=SHARED_DOMAIN), timeout=TIMEOUT),
                hostile.Evaluate(exchange_pb2.EvaluateRequest(round_id=bytes(16)), timeout=TIMEOUT),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                refusals.append(str(caught.value))

    configure_logs("debug")
    try:
        asyncio.run(journey())
    finally:
        structlog.reset_defaults()
    output = capfd.readouterr()
    logs = (output.out + output.err).encode()
    assert b"call refused" in logs, "nothing was logged, so nothing was shown"
    assert len(wire) > 20, "no message was seen, so nothing was shown"
    places = {"a message": b"\n".join(wire), "a log": logs, "a refusal": "\n".join(refusals).encode()}
    for value in (*ONLY_A, *ONLY_B, SHARED_DOMAIN, *BAD):
        for trace in traces(value):
            for place, content in places.items():
                assert trace not in content, f"{place} gives {value!r} away"


@pytest.mark.spec("A.1-6")
@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_that_watches_a_node_sees_a_sentinel(
    folder: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    """A busy node: rounds, checks, an ingest with bad rows, and refusals, seen in every way there is."""
    a, b = (watched(home) for home in make_labs(folder, "lab-a", "lab-b"))
    seen: dict[str, bytes] = {}

    def message(values: Sequence[str]) -> operator_pb2.IngestRequest:
        rows = [
            operator_pb2.IngestRow(line=n, type="domain", value=value) for n, value in enumerate(values, 1)
        ]
        return operator_pb2.IngestRequest(rows=operator_pb2.IngestRows(rows=rows))

    async def journey() -> None:
        for home, values in ((a, ONLY_A), (b, ONLY_B)):
            ingest(home, [*values, SHARED_DOMAIN], kind="domain")
        async with serving(a, b, ahead=True) as (at_a, _), channel_to(a.card, b) as hostile:
            for target in (operator_pb2.SET_FLAGGED, operator_pb2.SET_OBSERVED):
                options = operator_pb2.IngestOptions(set=target, unit=SHARED_DOMAIN)
                requests = [operator_pb2.IngestRequest(options=options), message([*ONLY_A, *BAD])]
                await at_a.Ingest(iter(requests))
            for kind in (SHARED, WATCH):
                assert (await run_round(at_a, "lab-b", kind)).outcome == "committed"
            for value in (*ONLY_A, SHARED_DOMAIN, *BAD):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    item = operator_pb2.Indicator(type="domain", value=value)
                    await at_a.Check(operator_pb2.CheckRequest(indicators=[item]))
            for call in (
                run_round(at_a, SHARED_DOMAIN),
                run_round(at_a, "lab-b", collection=SHARED_DOMAIN),
                hostile.Hello(hello_request(collection=SHARED_DOMAIN), timeout=TIMEOUT),
                hostile.Propose(
                    exchange_pb2.ProposeRequest(encoded_header=ONLY_B[0].encode()), timeout=TIMEOUT
                ),
                hostile.Report(
                    exchange_pb2.ReportRequest(round_id=bytes(16), tags=ONLY_B[0].encode()), timeout=TIMEOUT
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call
            seen["the metrics"] = (await get(a)).body.encode()
            seen["health"] = ((await get(a, "/readyz")).body + (await get(a, "/healthz")).body).encode()
            status = await at_a.Status(operator_pb2.StatusRequest())
            seen["status"] = str(status).encode() + status.SerializeToString()

    configure_logs("debug", form)
    try:
        asyncio.run(journey())
    finally:
        structlog.reset_defaults()
    output = capfd.readouterr()
    seen["the log"] = (output.out + output.err).encode()
    for expected in (b"round ended", b"call refused", b"UNKNOWN_ROUND"):
        assert expected in seen["the log"], "the node was not busy"
    assert b'mandorla_ingested_rows_total{outcome="rejected",set="flagged"} 3.0' in seen["the metrics"]
    assert b'mandorla_matches{kind="shared",peer="lab-b"} 1.0' in seen["the metrics"]
    for value in (*ONLY_A, *ONLY_B, SHARED_DOMAIN, *BAD):
        for trace in traces(value):
            for place, content in seen.items():
                assert trace not in content, f"{place} gives {value!r} away"


def _record_messages(monkeypatch: pytest.MonkeyPatch, wire: list[bytes]) -> None:
    """Copy each message between the labs as it is sent or served."""
    once = client.PeerClient._once
    admitted = admission.Admission._admitted

    async def sent(self: client.PeerClient, method: object, request: Message, *rest: object) -> Message:
        wire.append(request.SerializeToString())
        response = await once(self, method, request, *rest)  # type: ignore[arg-type]
        wire.append(response.SerializeToString())
        return response

    async def served(self: admission.Admission, *call: object) -> Message:
        response = await admitted(self, *call)  # type: ignore[arg-type]
        wire.append(response.SerializeToString())
        return response

    monkeypatch.setattr(client.PeerClient, "_once", sent)
    monkeypatch.setattr(admission.Admission, "_admitted", served)
