"""Calls to a peer's node: pinned TLS, a deadline for each call, and retries of calls that can be repeated."""

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
        """Start the call, with a timeout in seconds."""
        ...


class Traffic:
    """The bytes of messages that a client sent and received, without TLS and framing."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0


class PeerClient:
    """A channel to one peer, with the certificate of this lab's card `own_card`.

    Each call may raise MandorlaError: the code of the peer's refusal, or of the transport's failure.
    """

    def __init__(self, card: Card, own: OwnCard, settings: LimitSettings, metrics: Metrics) -> None:
        self.own_card = own.card
        self.traffic = Traffic()
        self._settings = settings
        self._metrics = metrics
        self._peer_name = card.name
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
                ("grpc.max_receive_message_length", settings.message_size),
                ("grpc.max_send_message_length", settings.message_size),
                ("grpc.enable_http_proxy", 0),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 2000),
                # Despite its name, this is how long one attempt to connect may take, handshake included. The
                # peer's server gives a handshake as long; a distant or busy peer needs far more than 100 ms.
                ("grpc.min_reconnect_backoff_ms", settings.handshake_timeout * 1000),
            ],
        )
        self._stub: exchange_pb2_grpc.ExchangeAsyncStub = exchange_pb2_grpc.ExchangeStub(self._channel)

    async def close(self) -> None:
        """Close the channel after the calls under way have ended, or after a short grace period."""
        await self._channel.close(_CLOSE_GRACE)

    async def hello(self, request: exchange_pb2.HelloRequest, patience: float) -> exchange_pb2.HelloResponse:
        """Get the peer's offer, for up to `patience` seconds while the peer prepares its table."""
        return await self._until_ready(self._stub.Hello, request, patience)

    async def propose(self, request: exchange_pb2.ProposeRequest) -> exchange_pb2.ProposeResponse:
        """Propose a header, without retries: the peer refuses a repeated proposal."""
        return await self._once(self._stub.Propose, request)

    async def evaluate(self, request: exchange_pb2.EvaluateRequest) -> exchange_pb2.EvaluateResponse:
        """Have a chunk evaluated, with retries: the peer charges a repeated chunk only once."""
        response = await self._call_with_retries(self._stub.Evaluate, request)
        self._metrics.evaluations_asked(self._peer_name, len(request.blinded) // _ELEMENT_SIZE)
        return response

    async def list_tags(self, request: exchange_pb2.ListTagsRequest) -> exchange_pb2.ListTagsResponse:
        """Read a page of the peer's tag table, with retries."""
        return await self._call_with_retries(self._stub.ListTags, request)

    async def subscribe(
        self, request: exchange_pb2.SubscribeRequest, patience: float
    ) -> exchange_pb2.SubscribeResponse:
        """Wait for up to `patience` seconds for an announcement of the peer's table, with retries.

        A call that misses its deadline is not repeated. Otherwise a standing round would learn too late that
        its peer accepts calls and does not answer them.
        """
        timeout = patience + self._settings.call_timeout / 4
        return await self._call_with_retries(self._stub.Subscribe, request, timeout, final=Code.DEADLINE)

    async def close_round(
        self, request: exchange_pb2.CloseRequest, patience: float
    ) -> exchange_pb2.CloseResponse:
        """Exchange close statements, for up to `patience` seconds while the peer completes its half."""
        return await self._until_ready(self._stub.Close, request, patience)

    async def add_checkpoint(
        self, request: exchange_pb2.AddCheckpointRequest
    ) -> exchange_pb2.AddCheckpointResponse:
        """Have a checkpoint of this lab's log cosigned, with retries."""
        return await self._call_with_retries(self._stub.AddCheckpoint, request)

    async def report(self, request: exchange_pb2.ReportRequest) -> exchange_pb2.ReportResponse:
        """Report sightings, with retries."""
        return await self._call_with_retries(self._stub.Report, request)

    async def update_card(
        self, request: exchange_pb2.UpdateCardRequest, patience: float
    ) -> exchange_pb2.UpdateCardResponse:
        """Deliver this lab's next card, without retries: `CardRenewal` tries again by itself."""
        return await self._once(self._stub.UpdateCard, request, patience)

    async def _once(
        self, method: Method[Request, Response], request: Request, patience: float | None = None
    ) -> Response:
        self.traffic.sent += request.ByteSize()
        started = time.perf_counter()
        try:
            response = await method(request, timeout=patience or self._settings.call_timeout)
        except grpc.aio.AioRpcError as error:
            failure = messages.error_from(error)
        except grpc.aio.UsageError:
            # A node that stops sends close statements of its open rounds, but their clients may be closed.
            failure = TransportError(Code.PEER_UNAVAILABLE, "the channel is closed")
        else:
            self._count_call(request, OK, started)
            sent, received = request.ByteSize(), response.ByteSize()
            self.traffic.received += received
            self._metrics.transferred(self._peer_name, _method_name(request), sent, received)
            return response
        self._count_call(request, failure.code.name, started)
        raise failure

    def _count_call(self, request: Message, code: str, started: float) -> None:
        self._metrics.call_made(self._peer_name, _method_name(request), code, time.perf_counter() - started)

    async def _call_with_retries(
        self,
        method: Method[Request, Response],
        request: Request,
        patience: float | None = None,
        final: Code | None = None,
    ) -> Response:
        """Make a call, and repeat it after a retryable failure that does not have the code `final`."""
        backoff = Backoff()
        for _ in range(self._settings.retries):
            try:
                return await self._once(method, request, patience)
            except MandorlaError as error:
                if not error.code.info.retryable or error.code is final:
                    raise
            await backoff.wait()
        return await self._once(method, request, patience)

    async def _until_ready(
        self, method: Method[Request, Response], request: Request, patience: float
    ) -> Response:
        """Make a call, and repeat it for up to `patience` seconds while the peer answers NOT_READY.

        Raises TransportError(DEADLINE) if the peer is not ready by then.
        """
        deadline = time.monotonic() + patience
        backoff, failures = Backoff(), 0
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TransportError(Code.DEADLINE, "the peer did not get ready")
            try:
                return await self._once(method, request, min(remaining, self._settings.call_timeout))
            except MandorlaError as error:
                transient = error.code is Code.NOT_READY or (
                    error.code.info.retryable and failures < self._settings.retries
                )
                if not transient:
                    raise
                failures = 0 if error.code is Code.NOT_READY else failures + 1
            await backoff.wait()


def _method_name(request: Message) -> str:
    """Return the name of the method that takes a request: the method NAME takes the message NAMERequest."""
    return request.DESCRIPTOR.name.removesuffix("Request")


class ClientFactory(Protocol):
    """Creates clients of pinned peers."""

    def __call__(self, card: Card, own: OwnCard | None = None) -> PeerClient:
        """Create a client that presents `own`, or else the card of this lab that the peer has pinned."""
        ...
