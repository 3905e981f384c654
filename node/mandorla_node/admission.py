"""The gate before every call of a peer: who calls, over what, how often, for how long, and how errors leave.

Nothing behind this gate runs for a caller that is not pinned now. The list of peers is read on every call,
because TLS alone would let a removed peer go on over a connection that it opened before.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar, cast

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import Message

from mandorla_protocol.errors import Code, MandorlaError, NodeError, RoundError, TransportError

from . import wire
from .limits import PeerLimits
from .settings import Limits
from .store import Peer, Store

_LOG = structlog.get_logger()
_CALLER: ContextVar[Peer] = ContextVar("caller")

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Message, Message]


def caller() -> Peer:
    """Return the pinned peer whose call is being served."""
    return _CALLER.get()


class Admission(grpc.aio.ServerInterceptor):
    """Admit calls of pinned peers, one by one."""

    def __init__(self, store: Store, limits: Limits, peer_limits: PeerLimits) -> None:
        self._store = store
        self._limits = limits
        self._peer_limits = peer_limits

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

        async def admitted(request: Request, context: Context) -> Response:
            return await self._serve(method, behaviour, request, context)

        return grpc.unary_unary_rpc_method_handler(
            cast("Callable[[Request, grpc.ServicerContext], Response]", admitted),
            handler.request_deserializer,
            handler.response_serializer,
        )

    async def _serve(
        self,
        method: str,
        behaviour: Callable[[Request, Context], Awaitable[Response]],
        request: Request,
        context: Context,
    ) -> Response:
        name = "unknown"
        try:
            peer = await self._admit(context)
            name = peer.name
            _CALLER.set(peer)
            async with asyncio.timeout(self._allowed(context)):
                return await behaviour(request, context)
        except TimeoutError:
            failure: MandorlaError = TransportError(Code.DEADLINE)
        except MandorlaError as error:
            failure = error
        except Exception as error:
            # The text of an unforeseen error may hold anything, so only its type is kept.
            failure = NodeError(Code.INTERNAL, type(error).__name__)
        level = "debug" if failure.code is Code.NOT_READY else "warning"
        getattr(_LOG, level)(
            "call refused", method=method, peer=name, code=failure.code.name, detail=failure.detail
        )
        info = failure.code.info
        await context.abort(
            grpc.StatusCode[info.status.name], info.message, ((wire.CODE_KEY, failure.code.name),)
        )
        raise failure

    async def _admit(self, context: Context) -> Peer:
        auth = context.auth_context()
        if list(auth.get("ssl_tls_version", ())) != [b"TLSv1.3"]:
            raise TransportError(Code.BAD_TRANSPORT, "the connection is not TLS 1.3")
        certificates = list(auth.get("x509_pem_cert", ()))
        if len(certificates) != 1:
            raise TransportError(Code.BAD_TRANSPORT, "the peer shows no certificate")
        der = x509.load_pem_x509_certificate(certificates[0]).public_bytes(Encoding.DER)
        fingerprint = hashlib.sha256(der).digest()
        for pinned in await asyncio.to_thread(self._store.peers.all):
            if (peer := pinned.by(fingerprint)) is not None:
                self._peer_limits.take_call(peer.lab)
                if peer.caught:
                    raise RoundError(Code.EQUIVOCATION)
                return peer
        raise TransportError(Code.NOT_PINNED)

    def _allowed(self, context: Context) -> float:
        remaining = context.time_remaining()
        if remaining is None:
            raise TransportError(Code.DEADLINE, "the call has no deadline")
        return min(remaining, float(self._limits.call_timeout))
