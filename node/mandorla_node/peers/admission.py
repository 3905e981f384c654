"""The gate before every call of a peer: who calls, over what, how often, for how long, and how errors leave.

A call is let in before its request is read, and counts until its answer is sent: the peer decides on both.

Nothing behind this gate runs for a caller that is not pinned now. The list of peers is read on every call,
because TLS alone would let a removed peer go on over a connection that it opened before.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import DecodeError, Message

from mandorla_protocol.errors import Code, EncodingError, MandorlaError, NodeError, RoundError, TransportError

from ..config.peer_settings import LimitSettings
from ..store import Peer, Store
from ..telemetry.metrics import CANCELLED, OK, UNKNOWN_PEER, Metrics
from . import messages
from .rate_limits import Buckets, PeerLimits

_LOG = structlog.get_logger()
_CALLER: ContextVar[Peer] = ContextVar("caller")

MAX_REQUEST: Final = 1 << 20
"""Bytes of a request, at most; gRPC reads no more. A chunk has half as many."""

_LARGEST: Final = 1 << 16
_LARGEST_REQUEST: Final = {"Evaluate": MAX_REQUEST, "Report": MAX_REQUEST}

_LINES_PER_SECOND: Final = 1.0
_LINES_AT_ONCE: Final = 30.0

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Message, Message]


def caller() -> Peer:
    """Return the pinned peer whose call is being served."""
    return _CALLER.get()


class Admission(grpc.aio.ServerInterceptor):
    """Admit calls of pinned peers, one by one, before their requests are read."""

    def __init__(
        self, store: Store, limits: LimitSettings, peer_limits: PeerLimits, metrics: Metrics
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._limits = limits
        self._peer_limits = peer_limits
        self._refusals = Refusals()
        # Who a certificate belonged to when it was last looked up, to say it of calls that come too often.
        self._names: dict[bytes, str] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Request, Response] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Wrap a unary method; there are no others for peers."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return None
        method = handler_call_details.method.rsplit("/", 1)[-1]
        # grpc's types know handlers of the threaded server only; in this one they are coroutines.
        behaviour = cast("Callable[[Request, Context], Awaitable[Response]]", handler.unary_unary)
        parse = cast("Callable[[bytes], Request]", handler.request_deserializer)

        async def serve(request: bytes, context: Context) -> Response:
            return await behaviour(_parsed(method, parse, request), context)

        async def admitted(_requests: object, context: Context) -> Response:
            return await self._admitted(method, serve, context)

        # On the wire these are the same. But gRPC reads the request of a unary method before it calls it, and
        # waits for that without end: whoever sends half a request would not be known, counted or timed.
        return grpc.stream_unary_rpc_method_handler(
            cast("Callable[[Iterator[Request], grpc.ServicerContext], Response]", admitted),
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )

    async def _admitted(
        self, method: str, serve: Callable[[bytes, Context], Awaitable[Response]], context: Context
    ) -> Response:
        certificate, started = b"", time.perf_counter()

        def count(code: str) -> str:
            name = self._names.get(certificate, UNKNOWN_PEER)
            self._metrics.call_served(name, method, code, time.perf_counter() - started)
            return name

        try:
            certificate = _certificate(context)
            close = self._peer_limits.open_call(certificate)
            # grpc's types want an object of a class of theirs, which does not exist.
            context.add_done_callback(cast("Any", lambda _context: close()))
            async with asyncio.timeout(self._allowed(context)):
                _CALLER.set(await self._peer(certificate))
                response = await serve(await _read(context), context)
            count(OK)
            return response
        except asyncio.CancelledError:
            # The peer hung up, or the node stops.
            count(CANCELLED)
            raise
        except TimeoutError as error:
            failure: MandorlaError = TransportError(Code.DEADLINE)
            _let_go(error)
        except MandorlaError as error:
            failure = error
            _let_go(error)
        except Exception as error:
            # The text of an unforeseen error may hold anything, so only its type is kept.
            failure = NodeError(Code.INTERNAL, type(error).__name__)
            _let_go(error)
        self._refusals.log(certificate, count(failure.code.name), method, failure)
        info = failure.code.info
        await context.abort(
            grpc.StatusCode[info.status.name], info.message, ((messages.CODE_KEY, failure.code.name),)
        )
        raise failure

    async def _peer(self, certificate: bytes) -> Peer:
        """Return the peer whose certificate it is now; raises TransportError(NOT_PINNED)."""
        for pinned in await asyncio.to_thread(self._store.peers.all):
            if (peer := pinned.by(certificate)) is not None:
                self._names[certificate] = peer.name
                if peer.caught:
                    raise RoundError(Code.EQUIVOCATION)
                if peer.paused_at:
                    raise RoundError(Code.PAUSED)
                return peer
        # It may have been somebody's.
        self._names.pop(certificate, None)
        raise TransportError(Code.NOT_PINNED)

    def _allowed(self, context: Context) -> float:
        remaining = context.time_remaining()
        if remaining is None:
            raise TransportError(Code.DEADLINE, "the call has no deadline")
        return min(remaining, float(self._limits.call_timeout))


class Refusals:
    """Log the calls that are refused, and fewer of a peer that is refused for one reason all the time.

    A line says how many were passed over since the last one of the peer with this code.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lines = Buckets(_LINES_PER_SECOND, _LINES_AT_ONCE, monotonic)
        self._unlogged: Counter[bytes] = Counter()

    def log(self, certificate: bytes, name: str, method: str, failure: MandorlaError) -> None:
        """Say which call of which peer was refused, and why."""
        code = failure.code.name
        if failure.code is Code.NOT_READY:
            _LOG.debug("call refused", method=method, peer=name, code=code, detail=failure.detail)
            return
        key = certificate + code.encode()
        try:
            self._lines.take(key)
        except TransportError:
            self._unlogged[key] += 1
            return
        passed = {"unlogged": unlogged} if (unlogged := self._unlogged.pop(key, 0)) else {}
        _LOG.warning("call refused", method=method, peer=name, code=code, detail=failure.detail, **passed)


def _let_go(error: BaseException) -> None:
    """Let go of the frames that an error came through.

    They hold the request, and tasks that hold the error: until Python looks for such cycles, which it seldom
    does, a peer that is refused again and again would fill the memory with what it sent.
    """
    held: BaseException | None = error
    while held is not None:
        held.__traceback__ = None
        held = held.__context__


def _certificate(context: Context) -> bytes:
    """Return the hash of the certificate that the caller shows; raises TransportError(BAD_TRANSPORT)."""
    auth = context.auth_context()
    if list(auth.get("ssl_tls_version", ())) != [b"TLSv1.3"]:
        raise TransportError(Code.BAD_TRANSPORT, "the connection is not TLS 1.3")
    certificates = list(auth.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise TransportError(Code.BAD_TRANSPORT, "the peer shows no certificate")
    return _hash_of(certificates[0])


@lru_cache(maxsize=1024)
def _hash_of(pem: bytes) -> bytes:
    return hashlib.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).digest()


async def _read(context: Context) -> bytes:
    """Return the request; raises EncodingError(BAD_ENCODING) if there is none."""
    reading = asyncio.ensure_future(context.read())
    # gRPC must see its reading to the end, or what comes later is never freed: the call ends it.
    reading.add_done_callback(lambda done: done.cancelled() or done.exception())
    request = await asyncio.shield(reading)
    if not isinstance(request, bytes):
        raise EncodingError(Code.BAD_ENCODING, "a call without a request")
    return request


def _parsed(method: str, parse: Callable[[bytes], Request], request: bytes) -> Request:
    """Parse a request whose size its method can have.

    What is parsed can take twenty times its size, if it is millions of empty parts.

    Raises EncodingError: MESSAGE_TOO_LARGE, BAD_ENCODING.
    """
    if len(request) > _LARGEST_REQUEST.get(method, _LARGEST):
        raise EncodingError(Code.MESSAGE_TOO_LARGE, f"{len(request)} bytes")
    try:
        return parse(request)
    except DecodeError:
        raise EncodingError(Code.BAD_ENCODING, "the request is no message of its method") from None
