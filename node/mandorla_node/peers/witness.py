"""Cosignatures (SPEC 18.4): peers cosign this lab's checkpoints, and this lab cosigns theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla.v1 import exchange_pb2
from mandorla_protocol.card import Card
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, EncodingError, MandorlaError, NodeError, TransportError
from mandorla_protocol.log.checkpoint import (
    Checkpoint,
    LogKey,
    by_log_alone,
    cosign,
    open_checkpoint,
    sign_checkpoint,
    verify_cosignature,
)
from mandorla_protocol.log.proofs import MAX_PROOF
from mandorla_protocol.merkle import EMPTY_ROOT, HASH_SIZE

from ..core.clock import Clock
from ..store import CosignedCheckpoint, Peer, Store, SubmittedCheckpoint
from .client import PeerClient

_ATTEMPTS: Final = 3


class Witness:
    """Submits this lab's checkpoints to its peers, and cosigns the checkpoints of its peers."""

    def __init__(self, identity: Ed25519PrivateKey, card: Card, store: Store, clock: Clock) -> None:
        self._identity = identity
        self._store = store
        self._clock = clock
        self._own = LogKey(card.log_origin, card.identity)
        # The latest checkpoint of this log that each peer reported, since this node started, as cosigned.
        self._cosigned: dict[LabId, Checkpoint] = {}
        self._locks: dict[LabId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def submit(self, peer: Peer, client: PeerClient) -> None:
        """Have a peer cosign this lab's log up to its present size.

        The first call for a peer since the node started asks the peer for the latest checkpoint that it has
        cosigned. If this log does not contain that checkpoint, the store was set back to an earlier state.
        Then this lab signs no checkpoint, because a log that grows in another way would look like two logs.

        After a restore, this lab signs a checkpoint only when each peer has reported its latest checkpoint.

        Raises MandorlaError: the peer's code; NodeError(STORE_FAILED) if the store was set back;
        TransportError(PEER_UNAVAILABLE) while other peers have not reported after a restore.
        """
        async with self._locks[peer.lab]:
            if peer.lab not in self._cosigned:
                response = await client.add_checkpoint(exchange_pb2.AddCheckpointRequest())
                await self._record_latest(peer, response.latest)
            await self._require_all_reported(peer)
            for _ in range(_ATTEMPTS):
                old = self._cosigned[peer.lab]
                size, root = await asyncio.to_thread(self._store.log.head)
                if await asyncio.to_thread(self._store.log.is_cosigned, size, peer.lab):
                    return
                checkpoint = Checkpoint(self._own.origin, size, root)
                response = await client.add_checkpoint(
                    exchange_pb2.AddCheckpointRequest(
                        checkpoint=sign_checkpoint(self._identity, checkpoint),
                        old_size=old.size,
                        proof=await asyncio.to_thread(self._store.log.consistency, old.size, size),
                    )
                )
                if response.cosignature:
                    await self._record_cosignature(peer, checkpoint, response.cosignature)
                    return
                await self._record_latest(peer, response.latest)
        raise TransportError(Code.PEER_UNAVAILABLE, "the peer reports no checkpoint that this log extends")

    async def try_submit(self, peer: Peer, client: PeerClient, patience: float) -> None:
        """Have a peer cosign this lab's log within `patience` seconds, and ignore a failure."""
        with contextlib.suppress(MandorlaError, TimeoutError):
            async with asyncio.timeout(patience):
                await self.submit(peer, client)

    async def add_checkpoint(
        self, peer: Peer, request: exchange_pb2.AddCheckpointRequest
    ) -> exchange_pb2.AddCheckpointResponse:
        """Cosign a peer's checkpoint if it extends the latest one that this lab has cosigned.

        The answer always has that latest checkpoint.

        Raises MandorlaError: BAD_CHECKPOINT, or EQUIVOCATION if the peer has signed two contradicting logs.
        """
        cosignature = b""
        if request.checkpoint:
            log = LogKey(peer.card.log_origin, peer.lab)
            checkpoint = open_checkpoint(request.checkpoint, log)
            if len(request.proof) > MAX_PROOF or any(len(part) != HASH_SIZE for part in request.proof):
                raise EncodingError(Code.BAD_CHECKPOINT, "malformed consistency proof")
            note = by_log_alone(request.checkpoint, log)
            submitted = SubmittedCheckpoint(log, checkpoint, note, request.old_size, tuple(request.proof))
            cosignature = await asyncio.to_thread(self._store.log.cosign, submitted, self._sign)
        latest = await asyncio.to_thread(self._store.log.latest_note_of, peer.lab)
        return exchange_pb2.AddCheckpointResponse(cosignature=cosignature, latest=latest)

    async def _require_all_reported(self, peer: Peer) -> None:
        if waiting := await asyncio.to_thread(self._store.restoration.confirm_log, peer.lab):
            reason = f"after the restore, these peers have not reported a checkpoint: {', '.join(waiting)}"
            raise TransportError(Code.PEER_UNAVAILABLE, reason)

    def _sign(self, checkpoint: Checkpoint) -> bytes:
        return cosign(self._identity, checkpoint, self._clock())

    async def _record_latest(self, peer: Peer, latest: bytes) -> None:
        """Record the latest checkpoint of this log that a peer reports; this lab must have signed it.

        Raises EncodingError or CryptoError: BAD_CHECKPOINT; NodeError(STORE_FAILED) if this log lacks it.
        """
        if not latest:
            self._cosigned[peer.lab] = Checkpoint(self._own.origin, 0, EMPTY_ROOT)
            return
        checkpoint = open_checkpoint(latest, self._own)
        size, _ = await asyncio.to_thread(self._store.log.head)
        if (
            checkpoint.size > size
            or await asyncio.to_thread(self._store.log.root_at, checkpoint.size) != checkpoint.root
        ):
            reason = f"{peer.name} has cosigned entries that are not in the store: the store was set back"
            raise NodeError(Code.STORE_FAILED, reason)
        self._cosigned[peer.lab] = checkpoint

    async def _record_cosignature(self, peer: Peer, checkpoint: Checkpoint, cosignature: bytes) -> None:
        try:
            verify_cosignature(peer.lab, checkpoint, cosignature)
        except MandorlaError as error:
            raise TransportError(Code.BAD_CHECKPOINT, error.detail) from None
        cosigner = LogKey(peer.card.log_origin, peer.lab)
        witnessed = CosignedCheckpoint(checkpoint.size, checkpoint.root, cosigner, cosignature)
        await asyncio.to_thread(self._store.log.record_cosignature, witnessed)
        self._cosigned[peer.lab] = checkpoint
