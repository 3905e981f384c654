"""Logs between labs (SPEC 18.4): have peers cosign this lab's log, and cosign theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import Final

from mandorla.v1 import exchange_pb2
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
from ..home.folder import Home
from ..store import CosignedCheckpoint, Peer, Store, SubmittedCheckpoint
from .client import PeerClient

_ATTEMPTS: Final = 3


class Witness:
    """This lab's log before its peers, and theirs before it."""

    def __init__(self, home: Home, store: Store, clock: Clock) -> None:
        self._home = home
        self._store = store
        self._clock = clock
        self._own = LogKey(home.card.log_origin, home.card.identity)
        # What each peer has cosigned, as it said since this node started.
        self._cosigned: dict[LabId, Checkpoint] = {}
        self._locks: dict[LabId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def submit(self, peer: Peer, client: PeerClient) -> None:
        """Have a peer cosign this lab's log as it is now.

        Before the first time since the node started, the peer says what it has cosigned; if that is not in
        this log, the store was set back, and nothing is signed that would contradict what was.

        After a restore, all peers are asked before anything is signed for one of them.

        Raises MandorlaError: the peer's code, NodeError(STORE_FAILED) for a store that was set back, or
        TransportError(PEER_UNAVAILABLE) until the other peers were asked.
        """
        async with self._locks[peer.lab]:
            if peer.lab not in self._cosigned:
                response = await client.add_checkpoint(exchange_pb2.AddCheckpointRequest())
                await self._learn(peer, response.latest)
            await self._require_all_heard(peer)
            for _ in range(_ATTEMPTS):
                old = self._cosigned[peer.lab]
                size, root = await asyncio.to_thread(self._store.log.head)
                if await asyncio.to_thread(self._store.log.is_cosigned, size, peer.lab):
                    return
                checkpoint = Checkpoint(self._own.origin, size, root)
                response = await client.add_checkpoint(
                    exchange_pb2.AddCheckpointRequest(
                        checkpoint=sign_checkpoint(self._home.identity, checkpoint),
                        old_size=old.size,
                        proof=await asyncio.to_thread(self._store.log.consistency, old.size, size),
                    )
                )
                if response.cosignature:
                    await self._keep(peer, checkpoint, response.cosignature)
                    return
                await self._learn(peer, response.latest)
        raise TransportError(Code.PEER_UNAVAILABLE, "the peer does not say from where it knows this log")

    async def try_submit(self, peer: Peer, client: PeerClient, patience: float) -> None:
        """Have a peer cosign this lab's log within `patience` seconds; the next round does it otherwise."""
        with contextlib.suppress(MandorlaError, TimeoutError):
            async with asyncio.timeout(patience):
                await self.submit(peer, client)

    async def add_checkpoint(
        self, peer: Peer, request: exchange_pb2.AddCheckpointRequest
    ) -> exchange_pb2.AddCheckpointResponse:
        """Cosign a peer's log if it extends what this lab saw of it; tell what that is in any case.

        Raises MandorlaError: BAD_CHECKPOINT, or EQUIVOCATION for a log that was shown in two ways.
        """
        cosignature = b""
        if request.checkpoint:
            log = LogKey(peer.card.log_origin, peer.lab)
            checkpoint = open_checkpoint(request.checkpoint, log)
            if len(request.proof) > MAX_PROOF or any(len(part) != HASH_SIZE for part in request.proof):
                raise EncodingError(Code.BAD_CHECKPOINT, "no consistency proof")
            note = by_log_alone(request.checkpoint, log)
            submitted = SubmittedCheckpoint(log, checkpoint, note, request.old_size, tuple(request.proof))
            cosignature = await asyncio.to_thread(self._store.log.cosign, submitted, self._sign)
        latest = await asyncio.to_thread(self._store.log.latest_note_of, peer.lab)
        return exchange_pb2.AddCheckpointResponse(cosignature=cosignature, latest=latest)

    async def _require_all_heard(self, peer: Peer) -> None:
        if waiting := await asyncio.to_thread(self._store.restoration.confirm_log, peer.lab):
            names = ", ".join(waiting)
            what = f"since the restore, {names} did not say what they saw of this log"
            raise TransportError(Code.PEER_UNAVAILABLE, what)

    def _sign(self, checkpoint: Checkpoint) -> bytes:
        return cosign(self._home.identity, checkpoint, self._clock())

    async def _learn(self, peer: Peer, latest: bytes) -> None:
        """Take in what a peer has cosigned of this log: a checkpoint that this lab signed itself."""
        if not latest:
            self._cosigned[peer.lab] = Checkpoint(self._own.origin, 0, EMPTY_ROOT)
            return
        checkpoint = open_checkpoint(latest, self._own)
        size, _ = await asyncio.to_thread(self._store.log.head)
        if (
            checkpoint.size > size
            or await asyncio.to_thread(self._store.log.root_at, checkpoint.size) != checkpoint.root
        ):
            what = f"{peer.name} saw a log of this lab that the store does not have: the store was set back"
            raise NodeError(Code.STORE_FAILED, what)
        self._cosigned[peer.lab] = checkpoint

    async def _keep(self, peer: Peer, checkpoint: Checkpoint, cosignature: bytes) -> None:
        try:
            verify_cosignature(peer.lab, checkpoint, cosignature)
        except MandorlaError as error:
            raise TransportError(Code.BAD_CHECKPOINT, error.detail) from None
        cosigner = LogKey(peer.card.log_origin, peer.lab)
        witnessed = CosignedCheckpoint(checkpoint.size, checkpoint.root, cosigner, cosignature)
        await asyncio.to_thread(self._store.log.record_cosignature, witnessed)
        self._cosigned[peer.lab] = checkpoint
