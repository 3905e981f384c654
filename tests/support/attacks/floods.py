"""Attacks by amount: each is one burst, and counts what came of it."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass

import h2.exceptions
import h2.settings

from mandorla.v1 import exchange_pb2
from mandorla_node.crypto import certificates
from mandorla_protocol import signatures
from mandorla_protocol.errors import Code
from mandorla_protocol.header import Offer, RoundHeader
from mandorla_protocol.log.checkpoint import Checkpoint, sign_checkpoint
from mandorla_protocol.merkle import hash_children, hash_leaf
from mandorla_protocol.session.transcript import CloseStatement
from mandorla_protocol.sizes import CHUNK_SIZE, PAGE_SIZE
from tests.support.hostile import TIMEOUT, blinded_chunk, hello_request
from tests.support.raw_http2 import Raw, address_of, framed, plain_socket, tls_to

from .model import ANSWERED, UNNAMED, Field, code_from

Outcomes = Counter[str]

_STREAMS = 24
_AT_ONCE = 32


@dataclass(frozen=True)
class Flood:
    """One burst of many calls or connections; `codes` are what the victim may say to any of them."""

    name: str
    does: str
    rule: str
    codes: frozenset[str]
    run: Callable[[Field], Awaitable[Outcomes]]


async def _codes(call: Callable[[int], Awaitable[object]], count: int) -> Outcomes:
    """Make calls, as many at once as a connection carries."""
    numbers = iter(range(count))
    outcomes: Outcomes = Counter()

    async def one_after_another() -> None:
        for number in numbers:
            outcomes[await code_from(call(number))] += 1

    await asyncio.gather(*(one_after_another() for _ in range(_STREAMS)))
    return outcomes


def _of(headers: dict[str, str]) -> str:
    if "mandorla-code" in headers:
        return headers["mandorla-code"]
    return ANSWERED if headers.get("grpc-status") == "0" else UNNAMED


async def hellos(field: Field) -> Outcomes:
    return await _codes(lambda _: field.stub.Hello(hello_request(), timeout=TIMEOUT), 400)


async def half_requests(field: Field) -> Outcomes:
    """Begin as many calls as 10 connections carry, and send no request."""
    return await _held(field, 10, 2**20, lambda raw: raw.begin("Evaluate", "3600S"))


async def slow_readers(field: Field) -> Outcomes:
    """Ask for as many pages as 6 connections carry, and read nothing of them."""
    header = await field.lab.agree(field.stub)
    request = exchange_pb2.ListTagsRequest(round_id=header.round_id).SerializeToString()
    return await _held(field, 6, 0, lambda raw: raw.call("ListTags", request, "3600S"))


async def _held(field: Field, connections: int, window: int, begin: Callable[[Raw], int]) -> Outcomes:
    """Begin 32 calls on each connection that are never over, and drop them when most were refused."""
    outcomes: Outcomes = Counter()
    async with AsyncExitStack() as stack:
        opened = [await Raw.connect(field.victim, field.own, window) for _ in range(connections)]
        for raw in opened:
            stack.push_async_callback(raw.slam)
        begun = [(raw, begin(raw)) for raw in opened for _ in range(_AT_ONCE)]
        await asyncio.gather(*(raw.flush() for raw in opened))
        over = 0

        async def read(raw: Raw) -> None:
            nonlocal over
            while len(begun) - over > _AT_ONCE and await raw.take():
                over = sum(stream in raw.ended for raw, stream in begun)
            ended.set()

        ended = asyncio.Event()
        readers = [asyncio.create_task(read(raw)) for raw in opened]
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                await ended.wait()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        outcomes.update(_of(raw.headers[one]) if one in raw.ended else "held" for raw, one in begun)
    return outcomes


async def silent_connections(field: Field) -> Outcomes:
    """Open connections and never say a word of TLS; wait until the victim gives them up."""
    opened = [plain_socket(field.victim) for _ in range(200)]
    for one in opened:
        one.setblocking(False)
    loop = asyncio.get_running_loop()
    ends = await asyncio.gather(*(loop.sock_recv(one, 1) for one in opened), return_exceptions=True)
    for one in opened:
        one.close()
    return Counter("given up" if end == b"" or isinstance(end, OSError) else "answered" for end in ends)


async def connections_without_a_preface(field: Field) -> Outcomes:
    """Finish TLS, say nothing in HTTP/2, and wait until the victim gives the connections up."""
    host, port = address_of(field.victim)
    tls = tls_to(field.victim, field.own)
    name = certificates.tls_name(field.victim.identity)
    opened = [await asyncio.open_connection(host, port, ssl=tls, server_hostname=name) for _ in range(60)]

    async def end(reader: asyncio.StreamReader) -> str:
        try:
            while await reader.read(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return "given up"

    ended = await asyncio.gather(*(end(reader) for reader, _ in opened))
    for _, writer in opened:
        writer.transport.abort()
    return Counter(ended)


async def churn(field: Field) -> Outcomes:
    """Connect, call, and drop the connection with a reset before the answer, again and again."""
    message = hello_request().SerializeToString()
    for _ in range(150):
        raw = await Raw.connect(field.victim, field.own)
        raw.call("Hello", message)
        await raw.flush()
        await raw.slam()
    return Counter({"dropped": 150})


async def churn_below_tls(field: Field) -> Outcomes:
    """Connect and drop the connection, with half of TLS's first message or with none."""
    for number in range(300):
        with closing(plain_socket(field.victim)) as one:
            one.sendall(b"\x16\x03\x01\x02\x00\x01" * (number % 2) or b"GET / HTTP/1.1\r\n\r\n")
    return Counter({"dropped": 300})


async def resets(field: Field) -> Outcomes:
    """Begin calls and reset each at once (CVE-2023-44487)."""
    message = hello_request().SerializeToString()
    done = 0
    for _ in range(4):
        raw = await Raw.connect(field.victim, field.own)
        try:
            for _ in range(500):
                stream = raw.call("Hello", message)
                raw.h2.reset_stream(stream)
                done += 1
            await raw.flush()
            await raw.settle()
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass
        await raw.slam()
    return Counter({"reset": done})


async def pings(field: Field) -> Outcomes:
    """Send pings and settings, which ask for an answer each, until the victim hangs up."""
    raw = await Raw.connect(field.victim, field.own)
    sent = 0
    try:
        for number in range(2_000):
            raw.h2.ping(number.to_bytes(8, "big"))
            if number % 100 == 0:
                raw.h2.update_settings({h2.settings.SettingCodes.MAX_FRAME_SIZE: 16_384 + number})
            sent += 1
        await raw.flush()
        await raw.settle()
    except (ConnectionError, h2.exceptions.ProtocolError, ssl.SSLError):
        pass
    await raw.slam()
    return Counter({"sent": sent})


async def cancelled(field: Field) -> Outcomes:
    """Ask for chunks and hang up before each answer; the work of each must end before more is begun."""
    header = await field.lab.agree(field.stub)
    chunk = blinded_chunk(256) * 8
    calls = []
    for index in range(60):
        request = exchange_pb2.EvaluateRequest(round_id=header.round_id, index=index, blinded=chunk)
        calls.append(field.stub.Evaluate(request, timeout=TIMEOUT))
        await asyncio.wait({asyncio.ensure_future(calls[-1].initial_metadata())}, timeout=0.01)
        calls[-1].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await _abort(field, header)
    return Counter({"cancelled": len(calls)})


async def all_chunks(field: Field) -> Outcomes:
    """Send chunks of the largest size, all at once."""
    header = await field.lab.agree(field.stub)
    chunk = blinded_chunk(256) * (CHUNK_SIZE // 256)
    outcomes = await _codes(
        lambda index: field.stub.Evaluate(
            exchange_pb2.EvaluateRequest(round_id=header.round_id, index=index, blinded=chunk),
            timeout=TIMEOUT,
        ),
        4,
    )
    await _abort(field, header)
    return outcomes


async def bad_chunks(field: Field) -> Outcomes:
    """Send large chunks whose last element only is bad: nothing of them is ever charged."""
    header = await field.lab.agree(field.stub)
    chunk = (blinded_chunk(256) * 64)[:-32] + b"\xff" * 32
    outcomes = await _codes(
        lambda _: field.stub.Evaluate(
            exchange_pb2.EvaluateRequest(round_id=header.round_id, index=0, blinded=chunk), timeout=TIMEOUT
        ),
        64,
    )
    await _abort(field, header)
    return outcomes


async def giants(field: Field) -> Outcomes:
    """Send requests over the size that their method can have, some of them made of empty parts."""
    bomb = b"\x22\x00" * (1 << 18)
    raw = await Raw.connect(field.victim, field.own)
    outcomes: Outcomes = Counter()
    for method, message in (("Hello", bomb), ("Propose", bomb), ("AddCheckpoint", b"\x1a\x00" * (1 << 18))):
        outcomes[await send(raw, method, message)] += 1
    await raw.close()
    giant = exchange_pb2.EvaluateRequest(blinded=bytes(3 << 20))
    return outcomes + await _codes(lambda _: field.stub.Evaluate(giant, timeout=TIMEOUT), 8)


async def send(raw: Raw, method: str, message: bytes) -> str:
    """Send a request of any bytes, as far as the flow of HTTP/2 allows, and return what it gets."""
    stream = raw.begin(method)
    body = framed(message)
    while body and stream not in raw.ended:
        size = min(raw.h2.local_flow_control_window(stream), raw.h2.max_outbound_frame_size, len(body))
        if size:
            raw.h2.send_data(stream, body[:size])
            body = body[size:]
            await raw.flush()
        elif not await raw.take():
            return UNNAMED
    if stream not in raw.ended:
        raw.h2.end_stream(stream)
        await raw.flush()
    return _of(await raw.result(stream))


async def reports(field: Field) -> Outcomes:
    """Report as many tags as a call holds, in many calls."""
    header = await field.lab.agree(field.stub)
    request = exchange_pb2.ReportRequest(round_id=header.round_id, tags=bytes(16 * PAGE_SIZE))
    outcomes = await _codes(lambda _: field.stub.Report(request, timeout=TIMEOUT), 60)
    await _abort(field, header)
    return outcomes


async def abandoned(field: Field) -> Outcomes:
    """Propose rounds one after another, and run none."""
    response = await field.stub.Hello(hello_request(), timeout=TIMEOUT)
    offer = Offer.decode(response.encoded_offer)
    outcomes: Outcomes = Counter()
    for _ in range(30):
        proposal = field.lab.sign(field.lab.compose(offer))
        outcomes[await code_from(field.stub.Propose(proposal, timeout=TIMEOUT))] += 1
    return outcomes


async def checkpoints(field: Field) -> Outcomes:
    """Have a log cosigned that is twice as long each time, and then again and again."""
    root, size = hash_leaf(b""), 1
    proof: list[bytes] = []
    shown = []
    while size < 10**18:
        checkpoint = Checkpoint(field.own.card.log_origin, size, root)
        note = sign_checkpoint(field.own.identity, checkpoint)
        shown.append(exchange_pb2.AddCheckpointRequest(checkpoint=note, old_size=size // 2, proof=proof))
        proof, root, size = [root], hash_children(root, root), 2 * size
    outcomes: Outcomes = Counter()
    for request in shown:
        outcomes[await code_from(field.stub.AddCheckpoint(request, timeout=TIMEOUT))] += 1
    return outcomes + await _codes(lambda _: field.stub.AddCheckpoint(shown[-1], timeout=TIMEOUT), 200)


async def unpinned(field: Field) -> Outcomes:
    """Shake hands with certificates that nobody pinned; every handshake has the victim look for them."""
    host, port = address_of(field.victim)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(cadata=certificates.pem_from_der(field.victim.certificate).decode())
    tls.set_alpn_protocols(["h2"])
    outcomes: Outcomes = Counter()
    for _ in range(60):
        name = certificates.tls_name(field.victim.identity)
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
            outcomes["refused" if not await reader.read(1) else "answered"] += 1
            writer.transport.abort()
        except (ConnectionError, ssl.SSLError):
            outcomes["refused"] += 1
    return outcomes


async def _abort(field: Field, header: RoundHeader) -> None:
    statement = CloseStatement.abort(header.digest(), Code.INTERNAL).encode()
    signature = signatures.sign(field.own.identity, statement)
    request = exchange_pb2.CloseRequest(
        round_id=header.round_id, encoded_statement=statement, signature=signature
    )
    await code_from(field.stub.Close(request, timeout=TIMEOUT))


def _flood(run: Callable[[Field], Awaitable[Outcomes]], does: str, rule: str, *codes: str) -> Flood:
    return Flood(run.__name__.replace("_", "-"), does, rule, frozenset(codes), run)


LIMITED = Code.RATE_LIMITED.name
BUSY = (ANSWERED, LIMITED, UNNAMED)
"""HTTP/2 itself refuses the streams that a connection has too many of."""

FLOODS = (
    _flood(hellos, "says Hello 400 times", "SPEC 9.9, calls", *BUSY),
    _flood(
        half_requests,
        "begins 320 calls and sends no request",
        "SPEC 9.9, calls at once",
        LIMITED,
        "held",
    ),
    _flood(slow_readers, "asks for 192 pages and reads none", "SPEC 9.9, calls at once", LIMITED, "held"),
    _flood(silent_connections, "opens 200 connections without a word", "SPEC 9.9, handshakes", "given up"),
    _flood(
        connections_without_a_preface,
        "finishes TLS 60 times, and says nothing more",
        "SPEC 9.9, handshakes",
        "given up",
    ),
    _flood(unpinned, "shakes hands 60 times without a certificate", "SPEC 9.9-1", "refused"),
    _flood(churn, "connects 150 times and resets the connection in a call", "connection churn", "dropped"),
    _flood(churn_below_tls, "connects 300 times and speaks no TLS", "connection churn", "dropped"),
    _flood(resets, "begins 2,000 calls and resets each", "stream churn, CVE-2023-44487", "reset"),
    _flood(pings, "sends 2,000 pings, and settings", "gRPC's ping limit", "sent"),
    _flood(cancelled, "asks for 60 chunks, hanging up on each", "SPEC 9.5, work in turns", "cancelled"),
    _flood(all_chunks, "sends 4 full chunks at once", "SPEC 9.5, work in turns", *BUSY),
    _flood(
        bad_chunks,
        "sends a full chunk 64 times whose last element is bad",
        "SPEC 9.5, rule 3",
        Code.BAD_ELEMENT.name,
        Code.NOT_READY.name,
        *BUSY,
    ),
    _flood(
        giants,
        "sends requests over the size of their method, some of a quarter million empty parts",
        "SPEC 9.9, messages",
        Code.MESSAGE_TOO_LARGE.name,
        UNNAMED,
    ),
    _flood(reports, "reports 8,192 tags 60 times", "SPEC 9.8", *BUSY),
    _flood(abandoned, "proposes 30 rounds and runs none", "SPEC 9.9, rounds", *BUSY),
    _flood(checkpoints, "has 260 checkpoints cosigned", "SPEC 9.9, checkpoints", *BUSY),
)
