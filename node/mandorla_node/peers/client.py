"""Calling a peer's node: pinned TLS, a deadline on every call, and retries where a call may be repeated."""

from __future__ import annotations

import time
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from mandorla.v1 import exchange_pb2, exchange_pb2_grpc
from mandorla_protocol.card import Card
from mandorla_protocol.errors import Code, MandorlaError, TransportError

from ..config.peer_settings import LimitSettings
from ..core.backoff import Backoff
from ..crypto import certificates
from ..home.own_cards import OwnCard
from ..telemetry.metrics import OK, Metrics
from . import messages

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

_CLOSE_GRACE = 5.0
_ELEMENT_SIZE = 32


class Method(Protocol[Request, Response]):
    """A unary call of a stub."""

    def __call__(self, request: Request, *, timeout: float) -> grpc.aio.UnaryUnaryCall[Request, Response]:
        """Start the call."""
        ...


class Traffic:
    """Bytes of messages sent and received, before TLS and framing."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0


class PeerClient:
    """A channel to one peer, from which it knows this lab by its card `own`.

    Every call may raise MandorlaError: the peer's code, or the transport's.
    """

    def __init__(self, card: Card, own: OwnCard, limits: LimitSettings, metrics: Metrics) -> None:
        self.own = own.card
        self.traffic = Traffic()
        self._limits = limits
        self._metrics = metrics
        self._name = card.name
        credentials = grpc.ssl_channel_credentials(
            root_certificates=certificates.pem_from_der(card.certificate),
            private_key=own.tls_key,
            certificate_chain=own.tls_certificate,
        )
        self._channel = grpc.aio.secure_channel(
            f"dns:///{card.endpoint}",
            credentials,
            options=[
                ("grpc.ssl_target_name_override", certificates.tls_name(card.identity, card.issued)),
                ("grpc.max_receive_message_length", limits.message_size),
                ("grpc.max_send_message_length", limits.message_size),
                ("grpc.enable_http_proxy", 0),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 2000),
            ],
        )
        self._stub: exchange_pb2_grpc.ExchangeAsyncStub = exchange_pb2_grpc.ExchangeStub(self._channel)

    async def close(self) -> None:
        """Close the channel, once the calls that are under way have ended or had a moment to."""
        await self._channel.close(_CLOSE_GRACE)

    async def hello(self, request: exchange_pb2.HelloRequest, patience: float) -> exchange_pb2.HelloResponse:
        """Ask for the peer's offer, for up to `patience` seconds while it prepares."""
        return await self._until_ready(self._stub.Hello, request, patience)

    async def propose(self, request: exchange_pb2.ProposeRequest) -> exchange_pb2.ProposeResponse:
        """Propose a header, once: a repeated proposal is refused."""
        return await self._once(self._stub.Propose, request)

    async def evaluate(self, request: exchange_pb2.EvaluateRequest) -> exchange_pb2.EvaluateResponse:
        """Have a chunk evaluated; repeating it costs nothing."""
        response = await self._retrying(self._stub.Evaluate, request)
        self._metrics.evaluations_asked(self._name, len(request.blinded) // _ELEMENT_SIZE)
        return response

    async def list_tags(self, request: exchange_pb2.ListTagsRequest) -> exchange_pb2.ListTagsResponse:
        """Read a page of the peer's table."""
        return await self._retrying(self._stub.ListTags, request)

    async def subscribe(
        self, request: exchange_pb2.SubscribeRequest, patience: float
    ) -> exchange_pb2.SubscribeResponse:
        """Wait for up to `patience` seconds for news of the peer's table; repeating it changes nothing.

        A peer that does not answer in time is not asked again: a standing round would be long in noticing
        that its peer is there in name only.
        """
        deadline = patience + self._limits.call_timeout / 4
        return await self._retrying(self._stub.Subscribe, request, deadline, once=Code.DEADLINE)

    async def close_round(
        self, request: exchange_pb2.CloseRequest, patience: float
    ) -> exchange_pb2.CloseResponse:
        """Exchange the close, for up to `patience` seconds while the peer finishes its half."""
        return await self._until_ready(self._stub.Close, request, patience)

    async def add_checkpoint(
        self, request: exchange_pb2.AddCheckpointRequest
    ) -> exchange_pb2.AddCheckpointResponse:
        """Have this lab's log cosigned; repeating it changes nothing."""
        return await self._retrying(self._stub.AddCheckpoint, request)

    async def report(self, request: exchange_pb2.ReportRequest) -> exchange_pb2.ReportResponse:
        """Report sightings; repeating it changes nothing."""
        return await self._retrying(self._stub.Report, request)

    async def update_card(
        self, request: exchange_pb2.UpdateCardRequest, patience: float
    ) -> exchange_pb2.UpdateCardResponse:
        """Have this lab's next card pinned; repeating it changes nothing."""
        return await self._once(self._stub.UpdateCard, request, patience)

    async def _once(
        self, method: Method[Request, Response], request: Request, deadline: float | None = None
    ) -> Response:
        self.traffic.sent += request.ByteSize()
        started = time.perf_counter()
        try:
            response = await method(request, timeout=deadline or self._limits.call_timeout)
        except grpc.aio.AioRpcError as error:
            failure = messages.error_from(error)
        except grpc.aio.UsageError:
            # A node that stops tells peers of its open rounds; whoever ran the round may be done with them.
            failure = TransportError(Code.PEER_UNAVAILABLE, "the channel is closed")
        else:
            self._made(request, OK, started)
            sent, received = request.ByteSize(), response.ByteSize()
            self.traffic.received += received
            self._metrics.transferred(self._name, _method_of(request), sent, received)
            return response
        self._made(request, failure.code.name, started)
        raise failure

    def _made(self, request: Message, code: str, started: float) -> None:
        self._metrics.call_made(self._name, _method_of(request), code, time.perf_counter() - started)

    async def _retrying(
        self,
        method: Method[Request, Response],
        request: Request,
        deadline: float | None = None,
        once: Code | None = None,
    ) -> Response:
        """Repeat a call that failed in a way that may pass, other than `once`."""
        backoff = Backoff()
        for _ in range(self._limits.retries):
            try:
                return await self._once(method, request, deadline)
            except MandorlaError as error:
                if not error.code.info.retryable or error.code is once:
                    raise
            await backoff.wait()
        return await self._once(method, request, deadline)

    async def _until_ready(
        self, method: Method[Request, Response], request: Request, patience: float
    ) -> Response:
        """Repeat a call for as long as the peer says that it is preparing."""
        give_up = time.monotonic() + patience
        backoff, failures = Backoff(), 0
        while True:
            left = give_up - time.monotonic()
            if left <= 0:
                raise TransportError(Code.DEADLINE, "the peer did not get ready")
            try:
                return await self._once(method, request, min(left, self._limits.call_timeout))
            except MandorlaError as error:
                transient = error.code is Code.NOT_READY or (
                    error.code.info.retryable and failures < self._limits.retries
                )
                if not transient:
                    raise
                failures = 0 if error.code is Code.NOT_READY else failures + 1
            await backoff.wait()


def _method_of(request: Message) -> str:
    """Name a request's method as gRPC does: each of ours takes a message of its own name."""
    return request.DESCRIPTOR.name.removesuffix("Request")


class ClientFactory(Protocol):
    """Makes a client for a pinned peer."""

    def __call__(self, card: Card, own: OwnCard | None = None) -> PeerClient:
        """Make a client that shows one of this lab's cards: `own`, or else the one that the peer knows."""
        ...
