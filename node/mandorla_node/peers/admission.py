"""Admission of a peer's calls: certificate, rate and deadline are checked before the node reads a request.

A call counts as open from its admission until the node has sent the answer. The peer decides when its request
arrives and when it reads the answer, so anything shorter would let it hold calls open without being counted.

No service code runs for a caller that is not pinned now. Each call reads the list of peers, because TLS alone
would let a removed peer continue on a connection that it opened before.
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
from .rate_limits import PeerBuckets, RateLimits

_LOG = structlog.get_logger()
_CALLER: ContextVar[Peer] = ContextVar("caller")

MAX_REQUEST: Final = 1 << 20
"""The bytes of a request, at most; gRPC reads no more. A full chunk has half as many."""

_MAX_SMALL_REQUEST: Final = 1 << 16
_MAX_REQUEST_OF: Final = {"Evaluate": MAX_REQUEST, "Report": MAX_REQUEST}

_LOG_RATE: Final = 1.0
_LOG_BURST: Final = 30.0

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Message, Message]


def caller() -> Peer:
    """Return the pinned peer whose call the current task serves."""
    return _CALLER.get()


class Admission(grpc.aio.ServerInterceptor):
    """Admit each call of a pinned peer before the node reads its request, and translate errors."""

    def __init__(self, store: Store, settings: LimitSettings, limits: RateLimits, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._call_timeout = settings.call_timeout
        self._limits = limits
        self._refusals = RefusalLog()
        # Peer names by certificate hash, from the last lookup: a call over the rate is refused before the
        # lookup, and its log line and metric still name the peer.
        self._peer_names: dict[bytes, str] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Request, Response] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Wrap a unary method; the Exchange service has no others."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return None
        method = handler_call_details.method.rsplit("/", 1)[-1]
        # grpc's types describe the handlers of the threaded server. In an asyncio server they are coroutines.
        behaviour = cast("Callable[[Request, Context], Awaitable[Response]]", handler.unary_unary)
        parse = cast("Callable[[bytes], Request]", handler.request_deserializer)

        async def serve(request: bytes, context: Context) -> Response:
            return await behaviour(_parse(method, parse, request), context)

        async def serve_if_admitted(_requests: object, context: Context) -> Response:
            return await self._admitted(method, serve, context)

        # gRPC reads the request of a unary method before it calls the handler, and waits for the request
        # without a limit: a peer that sends half a request would not be identified, counted or timed. The
        # handler of a stream is called at once. On the wire, a stream of one request equals a unary call.
        return grpc.stream_unary_rpc_method_handler(
            cast("Callable[[Iterator[Request], grpc.ServicerContext], Response]", serve_if_admitted),
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )

    async def _admitted(
        self, method: str, serve: Callable[[bytes, Context], Awaitable[Response]], context: Context
    ) -> Response:
        certificate_hash, started = b"", time.perf_counter()

        def count_call(code: str) -> str:
            name = self._peer_names.get(certificate_hash, UNKNOWN_PEER)
            self._metrics.call_served(name, method, code, time.perf_counter() - started)
            return name

        try:
            certificate_hash = _certificate_hash(context)
            close_call = self._limits.open_call(certificate_hash)
            # grpc's types name a class for the callback that grpc does not have.
            context.add_done_callback(cast("Any", lambda _context: close_call()))
            async with asyncio.timeout(self._timeout(context)):
                _CALLER.set(await self._pinned_peer(certificate_hash))
                response = await serve(await _read_request(context), context)
            count_call(OK)
            return response
        except asyncio.CancelledError:
            # The peer hung up, or the node stops.
            count_call(CANCELLED)
            raise
        except TimeoutError as error:
            failure: MandorlaError = TransportError(Code.DEADLINE)
            _drop_tracebacks(error)
        except MandorlaError as error:
            failure = error
            _drop_tracebacks(error)
        except Exception as error:
            # The text of an unexpected error may hold an indicator, so the log gets only its type.
            failure = NodeError(Code.INTERNAL, type(error).__name__)
            _drop_tracebacks(error)
        self._refusals.log(certificate_hash, count_call(failure.code.name), method, failure)
        info = failure.code.info
        await context.abort(
            grpc.StatusCode[info.status.name], info.message, ((messages.CODE_KEY, failure.code.name),)
        )
        raise failure

    async def _pinned_peer(self, certificate_hash: bytes) -> Peer:
        """Return the peer that has the certificate now.

        Raises TransportError(NOT_PINNED), or RoundError: EQUIVOCATION, PAUSED.
        """
        for pinned in await asyncio.to_thread(self._store.peers.all):
            if (peer := pinned.by(certificate_hash)) is not None:
                self._peer_names[certificate_hash] = peer.name
                if peer.caught:
                    raise RoundError(Code.EQUIVOCATION)
                if peer.paused_at:
                    raise RoundError(Code.PAUSED)
                return peer
        # The certificate may have been a peer's until the operator removed the peer or the overlap ended.
        self._peer_names.pop(certificate_hash, None)
        raise TransportError(Code.NOT_PINNED)

    def _timeout(self, context: Context) -> float:
        """Return the seconds for the call; raises TransportError(DEADLINE) if the peer set no deadline."""
        remaining = context.time_remaining()
        if remaining is None:
            raise TransportError(Code.DEADLINE, "the call has no deadline")
        return min(remaining, float(self._call_timeout))


class RefusalLog:
    """The log of refused calls, with a limited rate of lines for each peer and code.

    A line counts the refusals that were not logged since the last line for the same peer and code.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._buckets = PeerBuckets(_LOG_RATE, _LOG_BURST, monotonic)
        self._unlogged: Counter[bytes] = Counter()

    def log(self, certificate_hash: bytes, name: str, method: str, failure: MandorlaError) -> None:
        """Log a refused call: its method, the peer's name, and the code and detail of the failure."""
        code = failure.code.name
        if failure.code is Code.NOT_READY:
            _LOG.debug("call refused", method=method, peer=name, code=code, detail=failure.detail)
            return
        key = certificate_hash + code.encode()
        try:
            self._buckets.take(key)
        except TransportError:
            self._unlogged[key] += 1
            return
        skipped = {"unlogged": unlogged} if (unlogged := self._unlogged.pop(key, 0)) else {}
        _LOG.warning("call refused", method=method, peer=name, code=code, detail=failure.detail, **skipped)


def _drop_tracebacks(error: BaseException) -> None:
    """Remove the tracebacks of an error and of the errors in its context.

    A traceback refers to frames, the frames refer to the request and to tasks, and the tasks refer to the
    error. Only the garbage collector frees such a cycle, and a node runs it rarely. Until then, a peer whose
    calls are refused without end would fill the memory with its requests.
    """
    current: BaseException | None = error
    while current is not None:
        current.__traceback__ = None
        current = current.__context__


def _certificate_hash(context: Context) -> bytes:
    """Return the hash of the caller's certificate; raises TransportError(BAD_TRANSPORT)."""
    auth = context.auth_context()
    if list(auth.get("ssl_tls_version", ())) != [b"TLSv1.3"]:
        raise TransportError(Code.BAD_TRANSPORT, "the connection is not TLS 1.3")
    certificates = list(auth.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise TransportError(Code.BAD_TRANSPORT, "the peer presents no certificate")
    return _hash_of(certificates[0])


@lru_cache(maxsize=1024)
def _hash_of(pem: bytes) -> bytes:
    return hashlib.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).digest()


async def _read_request(context: Context) -> bytes:
    """Return the request; raises EncodingError(BAD_ENCODING) if the call has none."""
    read = asyncio.ensure_future(context.read())
    # The read is shielded from the timeout: if it were cancelled, gRPC would never free a request that
    # arrives later. The end of the call ends the read.
    read.add_done_callback(lambda done: done.cancelled() or done.exception())
    request = await asyncio.shield(read)
    if not isinstance(request, bytes):
        raise EncodingError(Code.BAD_ENCODING, "a call without a request")
    return request


def _parse(method: str, parse: Callable[[bytes], Request], request: bytes) -> Request:
    """Parse a request that is within the size limit of its method.

    The size is checked first, because a message of millions of empty parts takes twenty times its size in
    memory once it is parsed.

    Raises EncodingError: MESSAGE_TOO_LARGE, BAD_ENCODING.
    """
    if len(request) > _MAX_REQUEST_OF.get(method, _MAX_SMALL_REQUEST):
        raise EncodingError(Code.MESSAGE_TOO_LARGE, f"{len(request)} bytes")
    try:
        return parse(request)
    except DecodeError:
        raise EncodingError(Code.BAD_ENCODING, "the request is not a message of its method") from None
