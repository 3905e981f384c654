"""A peer over a limit is refused; within the limits it waits for itself."""

from __future__ import annotations

import asyncio

import pytest

from mandorla_node.config.peer_settings import LimitSettings, PeerSettings
from mandorla_node.peers.rate_limits import RateLimits
from mandorla_node.store import Peer
from mandorla_protocol.card import Card
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, TransportError
from mandorla_protocol.signatures import Signature


def peer(name: str, identity: bytes) -> Peer:
    return Peer(Card(name, LabId(identity), b"", "", "", Signature(b"")), 0, 0)


ONE, OTHER = peer("lab-a", bytes(32)), peer("lab-b", bytes([1] * 32))
CERTIFICATE, OTHER_CERTIFICATE = bytes(32), bytes([1] * 32)


def test_a_call_counts_until_it_is_over() -> None:
    limits = RateLimits(LimitSettings(calls_at_once=2), {})
    closing = [limits.open_call(CERTIFICATE) for _ in range(2)]
    with pytest.raises(TransportError) as caught:
        limits.open_call(CERTIFICATE)
    assert caught.value.code is Code.RATE_LIMITED
    limits.open_call(OTHER_CERTIFICATE)
    closing[0]()
    limits.open_call(CERTIFICATE)


def test_a_refused_call_does_not_count_as_open() -> None:
    now = 0.0
    limits = RateLimits(
        LimitSettings(calls_at_once=9, call_burst=1, calls_per_second=1), {}, monotonic=lambda: now
    )
    for _ in range(20):
        now += 1
        limits.open_call(CERTIFICATE)()
        with pytest.raises(TransportError):
            limits.open_call(CERTIFICATE)


@pytest.mark.parametrize("kind", ["round", "checkpoint", "chunk"])
def test_what_is_kept_for_ever_has_a_rate(kind: str) -> None:
    now = 0.0
    terms = {"round_burst": 3, "rounds_per_hour": 3600, "checkpoint_burst": 3, "chunk_burst": 3}
    terms |= {"checkpoints_per_second": 1, "chunks_per_second": 1}
    limits = RateLimits(LimitSettings(**terms), {}, monotonic=lambda: now)
    take = {
        "round": limits.admit_round,
        "checkpoint": limits.admit_checkpoint,
        "chunk": lambda peer: limits.admit_chunk(peer, 1),
    }[kind]
    for _ in range(3):
        take(ONE)
    with pytest.raises(TransportError):
        take(ONE)
    take(OTHER)
    now += 1
    take(ONE)


def test_a_peer_can_have_a_rate_of_its_own() -> None:
    now = 0.0
    settings = LimitSettings(elements_per_second=10, element_burst=10)
    limits = RateLimits(settings, {"lab-a": PeerSettings(elements_per_second=1)}, monotonic=lambda: now)
    for lab in (ONE, OTHER):
        limits.admit_tags(lab, 10)
    now += 1
    limits.admit_tags(OTHER, 10)
    with pytest.raises(TransportError):
        limits.admit_tags(ONE, 2)
    limits.admit_chunk(ONE, 1)


def test_a_peer_works_in_turns_and_another_does_not_wait_for_it() -> None:
    async def journey() -> None:
        limits = RateLimits(LimitSettings(), {}, turns=2)
        begun: list[int] = []
        go, other_begun = asyncio.Event(), asyncio.Event()

        async def work(number: int) -> None:
            begun.append(number)
            if number == 9:
                other_begun.set()
            await go.wait()

        calls = [asyncio.create_task(limits.run_in_turn(ONE, lambda n=n: work(n))) for n in range(5)]
        other = asyncio.create_task(limits.run_in_turn(OTHER, lambda: work(9)))
        await other_begun.wait()
        assert begun == [0, 1, 9]
        # One that works and one that waits hang up: neither lets more than two work at once.
        for gone in (calls[0], calls[2]):
            gone.cancel()
        await asyncio.wait({calls[0], calls[2]})
        assert begun == [0, 1, 9]
        go.set()
        await asyncio.gather(calls[1], calls[3], calls[4], other)
        assert begun == [0, 1, 9, 3, 4]

    asyncio.run(journey())


def test_what_fails_gives_its_turn_back() -> None:
    async def fail() -> None:
        raise TransportError(Code.DEADLINE)

    async def journey() -> None:
        limits = RateLimits(LimitSettings(), {}, turns=2)
        for _ in range(5):
            with pytest.raises(TransportError):
                await limits.run_in_turn(ONE, fail)

    asyncio.run(journey())
