"""The Exchange service: the calls that a pinned peer may make (SPEC 9)."""

from __future__ import annotations

import asyncio

from mandorla.v1 import exchange_pb2, exchange_pb2_grpc

from ..core.clock import Clock
from ..peers import messages
from ..peers.admission import Context, caller
from ..peers.card_renewal import CardRenewal
from ..peers.policy import Policies
from ..peers.rate_limits import RateLimits
from ..peers.witness import Witness
from .registry import RoundRegistry
from .responder import Responder

_ELEMENT_SIZE = 32


class ExchangeService(exchange_pb2_grpc.ExchangeServicer):
    """Passes each admitted call to its round, or to the responder, the witness or the card renewal."""

    def __init__(
        self,
        registry: RoundRegistry,
        responder: Responder,
        policies: Policies,
        witness: Witness,
        limits: RateLimits,
        clock: Clock,
        renewal: CardRenewal,
    ) -> None:
        self._registry = registry
        self._policies = policies
        self._responder = responder
        self._witness = witness
        self._renewal = renewal
        self._limits = limits
        self._clock = clock

    async def Hello(self, request: exchange_pb2.HelloRequest, context: Context) -> exchange_pb2.HelloResponse:
        """Offer an up-to-date table."""
        return await self._responder.hello(caller(), request)

    async def Propose(
        self, request: exchange_pb2.ProposeRequest, context: Context
    ) -> exchange_pb2.ProposeResponse:
        """Agree to a header, or refuse it."""
        return await self._responder.propose(caller(), request)

    async def Evaluate(
        self, request: exchange_pb2.EvaluateRequest, context: Context
    ) -> exchange_pb2.EvaluateResponse:
        """Evaluate a chunk."""
        peer = caller()
        active = await self._registry.find(peer, request.round_id)
        self._limits.admit_chunk(peer, len(request.blinded) // _ELEMENT_SIZE)
        answer = await self._limits.run_in_turn(
            peer, lambda: active.evaluate(request.index, request.blinded, self._clock())
        )
        response = exchange_pb2.EvaluateResponse(evaluated=answer.evaluated, proof=answer.proof)
        active.count(request, response)
        return response

    async def ListTags(
        self, request: exchange_pb2.ListTagsRequest, context: Context
    ) -> exchange_pb2.ListTagsResponse:
        """Read a page of the table."""
        peer = caller()
        active = await self._registry.find(peer, request.round_id)
        response = await self._limits.run_in_turn(peer, lambda: active.page(request.start, self._clock()))
        active.count(request, response)
        return response

    async def Subscribe(
        self, request: exchange_pb2.SubscribeRequest, context: Context
    ) -> exchange_pb2.SubscribeResponse:
        """Wait for news of the table of a standing round."""
        active = await self._registry.find(caller(), request.round_id)
        return await active.subscribe(request.version)

    async def Close(self, request: exchange_pb2.CloseRequest, context: Context) -> exchange_pb2.CloseResponse:
        """Close a round."""
        return await self._responder.close(caller(), request)

    async def AddCheckpoint(
        self, request: exchange_pb2.AddCheckpointRequest, context: Context
    ) -> exchange_pb2.AddCheckpointResponse:
        """Cosign the caller's log."""
        peer = caller()
        self._limits.admit_checkpoint(peer)
        return await self._witness.add_checkpoint(peer, request)

    async def Report(
        self, request: exchange_pb2.ReportRequest, context: Context
    ) -> exchange_pb2.ReportResponse:
        """Record sightings; tags that are not in the table are ignored."""
        peer = caller()
        active = await self._registry.find(peer, request.round_id)
        tags = messages.tags_from(request.tags)
        if not self._policies.of(peer.name, active.header.collection).take_sightings:
            return exchange_pb2.ReportResponse()
        self._limits.admit_tags(peer, len(tags))
        await self._limits.run_in_turn(peer, lambda: asyncio.to_thread(active.record_sightings, tags))
        return exchange_pb2.ReportResponse()

    async def UpdateCard(
        self, request: exchange_pb2.UpdateCardRequest, context: Context
    ) -> exchange_pb2.UpdateCardResponse:
        """Pin the caller's next card."""
        return await self._renewal.update_card(caller(), request)
