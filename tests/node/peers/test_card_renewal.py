"""Certificates change while rounds run, no card goes back, and what was followed opens nothing in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from mandorla.v1 import exchange_pb2, exchange_pb2_grpc, operator_pb2, operator_pb2_grpc
from mandorla_node.crypto import certificates
from mandorla_node.home import own_cards
from mandorla_node.home.folder import Home
from mandorla_node.peers.card_renewal import issue
from mandorla_node.peers.current_cards import CurrentCards
from mandorla_node.store import Peer
from mandorla_protocol.card import Card, issue_card
from mandorla_protocol.errors import Code, InputError, TransportError
from mandorla_protocol.header import Offer, RoundHeader
from mandorla_protocol.log.entries import RoundAgreed
from tests.support.hostile import HostileLab, hello_request
from tests.support.labs import (
    addresses,
    code_of,
    ingest,
    log_of,
    make_home,
    make_labs,
    matched,
    pause,
    pin,
    run_round,
    serving,
)
from tests.support.patience import CALL, PATIENCE

Stub: TypeAlias = "exchange_pb2_grpc.ExchangeAsyncStub"
OperatorService: TypeAlias = "operator_pb2_grpc.OperatorAsyncStub"


def channel(victim: Card, own: own_cards.OwnCard) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """Dial a node by one of a lab's own cards."""
    credentials = grpc.ssl_channel_credentials(
        certificates.pem_from_der(victim.certificate), own.tls_key, own.tls_certificate
    )
    name = certificates.tls_name(victim.identity, victim.issued)
    options = [("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.secure_channel(victim.endpoint, credentials, options=options)


async def renew(operator: OperatorService, endpoint: str = "") -> Card:
    response = await operator.RenewCard(operator_pb2.RenewCardRequest(endpoint=endpoint))
    return Card.from_json(response.card)


async def status(operator: OperatorService) -> operator_pb2.StatusResponse:
    return await operator.Status(operator_pb2.StatusRequest())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition that other tasks bring about."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await pause()


async def said(holds: Callable[[operator_pb2.StatusResponse], bool], operator: OperatorService) -> None:
    """Wait for a status."""
    async with asyncio.timeout(PATIENCE):
        while not holds(await status(operator)):
            await pause()


def none_waits(answer: operator_pb2.StatusResponse) -> bool:
    return not any(peer.card_pending for peer in answer.peers)


def pinned(home: Home, name: str) -> Peer:
    with closing(home.open_store()) as store:
        return store.peers.get(name)


def headers(home: Home) -> list[RoundHeader]:
    return [RoundHeader.decode(entry.header) for entry in log_of(home) if isinstance(entry, RoundAgreed)]


def hashes_of(home: Home, lab: Home) -> list[bytes]:
    """Return the certificate hashes by which a lab stands in the headers that a home signed, in order."""
    parties = [party for header in headers(home) for party in (header.initiator, header.responder)]
    return [party.certificate_hash for party in parties if party.lab == lab.card.identity]


def next_card(home: Home, newest: Card, **changes: object) -> own_cards.OwnCard:
    """Make a card that follows another, in no home; with a certificate of its own unless it is changed."""
    fields: dict[str, object] = {
        "name": newest.name,
        "endpoint": newest.endpoint,
        "log_origin": newest.log_origin,
        "issued": newest.issued + 1_800_000_000,
    }
    fields |= changes
    issued = int(str(fields["issued"]))
    key, certificate = certificates.issue_certificate(newest.identity, datetime.now(UTC), issued)
    fields.setdefault("certificate", certificates.der_from_pem(certificate))
    return own_cards.OwnCard(issue_card(home.identity, **fields), key, certificate)  # type: ignore[arg-type]


async def refusal(stub: Stub, card: Card | bytes) -> str:
    text = card if isinstance(card, bytes) else card.to_json().encode()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.UpdateCard(exchange_pb2.UpdateCardRequest(card=text), timeout=CALL)
    return code_of(caught.value)


@pytest.mark.spec("9.10-1", "9.10-4", "9.10-5")
def test_a_certificate_changes_while_rounds_run(folder: Path) -> None:
    a, b, c = make_labs(folder, "lab-a", "lab-b", "lab-c")
    shared = addresses(range(40))
    ingest(a, shared)
    ingest(b, addresses(range(20, 60)))
    ingest(c, addresses(range(30, 70)))

    async def journey() -> None:
        async with serving(a, b, c) as (at_a, at_b, at_c):
            stop = asyncio.Event()
            ran: list[operator_pb2.RoundResult] = []

            async def rounds(operator: OperatorService, peer: str) -> None:
                while not stop.is_set():
                    ran.append(await run_round(operator, peer))

            running = [
                asyncio.create_task(rounds(operator, peer))
                for operator, peer in ((at_a, "lab-b"), (at_b, "lab-c"), (at_c, "lab-a"))
            ]
            await until(lambda: len(ran) >= 3)
            new = await renew(at_a)
            assert new.issued
            await said(none_waits, at_a)
            before = len(ran)
            await until(lambda: len(ran) >= before + 6)
            stop.set()
            await asyncio.gather(*running)
            assert {result.outcome for result in ran} == {"committed"}
            assert await matched(at_a, "lab-b") == sorted(addresses(range(20, 40)))
            for home in (b, c):
                peer = pinned(home, "lab-a")
                assert peer.cards == (new, a.card)
            assert (await status(at_a)).card_issued == new.issued
            old, fresh = a.card.certificate_hash, new.certificate_hash
            for home in (a, b, c):
                seen = hashes_of(home, a)
                assert set(seen) == {old, fresh}
                assert seen == sorted(seen, key=[old, fresh].index), "once gone over, nobody goes back"

    asyncio.run(journey())
    # What follows finds the new card in the home, and needs nobody to be told again.
    a = Home.open(a.path)
    assert [own.card.issued > 0 for own in a.cards] == [True, False]
    restarted = a

    async def again() -> None:
        async with serving(restarted, b) as (at_a, at_b):
            assert none_waits(await status(at_a))
            assert (await run_round(at_a, "lab-b")).outcome == "committed"
            assert (await run_round(at_b, "lab-a")).outcome == "committed"
        assert hashes_of(b, a)[-2:] == [restarted.card.certificate_hash] * 2

    asyncio.run(again())


@pytest.mark.spec("9.10-1")
def test_a_peer_that_was_away_goes_on_with_the_old_card_and_is_told_when_it_is_back(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(10)))
    ingest(b, addresses(range(5, 15)))

    async def journey() -> None:
        async with serving(a) as (at_a,):
            new = await renew(at_a)
            async with channel(a.card, b.cards[0]) as by_old:
                await exchange_pb2_grpc.ExchangeStub(by_old).Hello(hello_request(), timeout=CALL)
            async with channel(new, b.cards[0]) as by_new:
                await exchange_pb2_grpc.ExchangeStub(by_new).Hello(hello_request(), timeout=CALL)
            assert not none_waits(await status(at_a))
            async with serving(b) as (at_b,):
                # lab-b begins, by the card that it has; lab-a calls back by the same.
                assert (await run_round(at_b, "lab-a")).outcome == "committed"
                assert (await run_round(at_a, "lab-b")).outcome == "committed"
                assert none_waits(await status(at_a))
                assert (await run_round(at_b, "lab-a")).outcome == "committed"
            assert hashes_of(b, a) == [a.card.certificate_hash, *[new.certificate_hash] * 2]

    asyncio.run(journey())


def test_a_lab_that_pinned_the_new_card_by_hand_is_called_by_it(folder: Path) -> None:
    a, b = make_home(folder, "lab-a"), make_home(folder, "lab-b")
    issue(a, a.card, a.card.endpoint, int(datetime.now(UTC).timestamp()))
    a = Home.open(a.path)
    pin(a, b)
    pin(b, a)
    renewed = a

    async def journey() -> None:
        async with serving(renewed, b) as (at_a, at_b):
            assert (await run_round(at_a, "lab-b")).outcome == "committed"
            assert (await run_round(at_b, "lab-a")).outcome == "committed"
            assert none_waits(await status(at_a))

    asyncio.run(journey())


@pytest.mark.spec("9.10-2", "9.10-3")
def test_a_card_that_does_not_follow_is_refused(folder: Path) -> None:
    a, b, c = make_labs(folder, "lab-a", "lab-b", "lab-c")
    following = next_card(b, b.card)
    later = next_card(b, following.card)
    expired = certificates.issue_certificate(
        b.card.identity, datetime(2020, 1, 1, tzinfo=UTC), later.card.issued
    )
    refused = {
        "another lab's": next_card(c, c.card).card,
        "another name": next_card(b, later.card, name="lab-x").card,
        "another log": next_card(b, later.card, log_origin="elsewhere/log").card,
        "the certificate of another card": next_card(b, later.card, certificate=later.card.certificate).card,
        "a certificate that has ended": next_card(
            b, b.card, issued=later.card.issued, certificate=certificates.der_from_pem(expired[1])
        ).card,
        "an undated certificate": next_card(b, later.card, certificate=b.card.certificate).card,
        "no certificate": next_card(b, later.card, certificate=b"junk").card,
        "an altered signature": replace(later.card, endpoint="127.0.0.1:1"),
        "no card": b"{}",
        "no text": b"\xff",
        "too long": b" " * 20_000,
    }

    async def journey() -> None:
        async with serving(a), channel(a.card, b.cards[0]) as dialled:
            stub: Stub = exchange_pb2_grpc.ExchangeStub(dialled)
            for fault, card in refused.items():
                assert await refusal(stub, card) == "CARD_REFUSED", fault
            assert pinned(a, "lab-b").cards == (b.card,)
            request = exchange_pb2.UpdateCardRequest(card=following.card.to_json().encode())
            for _ in range(3):
                await stub.UpdateCard(request, timeout=CALL)
            assert pinned(a, "lab-b").cards == (following.card, b.card)
            # The old card is replayed, by itself and over the connection that its certificate opens.
            assert await refusal(stub, b.card) == "CARD_REFUSED"
            async with channel(a.card, following) as renewed:
                again: Stub = exchange_pb2_grpc.ExchangeStub(renewed)
                assert await refusal(again, b.card) == "CARD_REFUSED"
                same_time = next_card(b, b.card)
                assert same_time.card.issued == following.card.issued
                assert await refusal(again, same_time.card) == "CARD_REFUSED"
                await again.Hello(hello_request(), timeout=CALL)
            assert pinned(a, "lab-b").cards == (following.card, b.card)

    asyncio.run(journey())


@pytest.mark.spec("9.10-4")
def test_a_header_names_the_certificate_that_is_shown(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    following = next_card(b, b.card)
    with closing(a.open_store()) as store:
        store.peers.add(following.card, overlap=3600)
    hostile = HostileLab(b, a.card)

    async def propose(stub: Stub, named: Card) -> exchange_pb2.ProposeResponse:
        response = await stub.Hello(hello_request(), timeout=CALL)
        header = hostile.compose(Offer.decode(response.encoded_offer))
        by = replace(header.initiator, certificate_hash=named.certificate_hash)
        return await stub.Propose(hostile.sign(replace(header, initiator=by)), timeout=CALL)

    async def journey() -> None:
        async with (
            serving(a),
            hostile.serving(),
            channel(a.card, b.cards[0]) as by_old,
            channel(a.card, following) as by_new,
        ):
            old, new = (exchange_pb2_grpc.ExchangeStub(one) for one in (by_old, by_new))
            for stub, named in ((old, following.card), (new, b.card)):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await propose(stub, named)
                assert code_of(caught.value) == "BAD_HEADER"
            assert hostile.calls == []
            # By the old certificate, lab-a calls back where only the old one is shown.
            assert (await propose(old, b.card)).signature
            assert "AddCheckpoint" in hostile.calls

    asyncio.run(journey())


@pytest.mark.spec("9.9-2")
def test_a_removed_peer_renews_nothing(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")
    following = next_card(b, b.card)

    async def journey() -> None:
        async with serving(a), channel(a.card, b.cards[0]) as dialled:
            stub: Stub = exchange_pb2_grpc.ExchangeStub(dialled)
            await stub.Hello(hello_request(), timeout=CALL)
            with closing(a.open_store()) as store:
                store.peers.remove("lab-b")
            assert await refusal(stub, following.card) == "NOT_PINNED"
            with closing(a.open_store()) as store:
                assert store.peers.all() == []

    asyncio.run(journey())


def test_a_peer_that_renews_without_end_is_slowed_down(folder: Path) -> None:
    a, b = make_labs(folder, "lab-a", "lab-b")

    async def journey() -> None:
        async with serving(a), channel(a.card, b.cards[0]) as dialled:
            stub: Stub = exchange_pb2_grpc.ExchangeStub(dialled)
            newest, taken = b.card, 0
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                for _ in range(10):
                    newest = next_card(b, newest, issued=newest.issued + 1).card
                    request = exchange_pb2.UpdateCardRequest(card=newest.to_json().encode())
                    # All but the last and the first are pinned no more, and the last is none that is shown.
                    with closing(a.open_store()) as store:
                        store.peers.remove("lab-b")
                        store.peers.add(b.card)
                    await stub.UpdateCard(request, timeout=CALL)
                    taken += 1
            assert (code_of(caught.value), taken) == ("RATE_LIMITED", 4)

    asyncio.run(journey())


class Hands:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = int(now)

    def __call__(self) -> int:
        return self.now


@pytest.mark.spec("9.10-6")
def test_after_the_overlap_the_old_certificate_opens_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mandorla_node.app import servers
    from mandorla_node.app.node import running

    # Otherwise a handshake within 50 ms of an earlier one could still accept the old certificate, and only
    # the admission of the call would refuse it.
    monkeypatch.setattr(servers, "_CREDENTIALS_MAX_AGE", 0.0)
    a, b = make_labs(folder, "lab-a", "lab-b")
    following = next_card(b, b.card)
    clock = Hands(datetime.now(UTC).timestamp())

    async def journey() -> None:
        async with running(a, clock), channel(a.card, b.cards[0]) as old, channel(a.card, following) as new:
            by_old, by_new = exchange_pb2_grpc.ExchangeStub(old), exchange_pb2_grpc.ExchangeStub(new)
            request = exchange_pb2.UpdateCardRequest(card=following.card.to_json().encode())
            await by_old.UpdateCard(request, timeout=CALL)
            clock.now += a.settings.keys.overlap - 1
            await by_old.Hello(hello_request(), timeout=CALL)
            clock.now += 1
            # On the connection that it holds, and on a new one.
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await by_old.Hello(hello_request(), timeout=CALL)
            assert code_of(caught.value) == "NOT_PINNED"
            async with channel(a.card, b.cards[0]) as another:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await exchange_pb2_grpc.ExchangeStub(another).Hello(hello_request(), timeout=CALL)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await by_new.Hello(hello_request(), timeout=CALL)

    asyncio.run(journey())


def presented(cards: CurrentCards) -> list[int]:
    return [own.card.issued for own in cards.presented()]


@pytest.mark.spec("9.10-5")
def test_a_lab_shows_a_certificate_until_its_overlap_ends_and_then_destroys_its_key(folder: Path) -> None:
    from mandorla_node.app.node import running

    (a,) = make_labs(folder, "lab-a")
    clock = Hands(datetime.now(UTC).timestamp())
    first = a.card

    async def journey() -> None:
        async with running(a, clock):
            operator: OperatorService = operator_pb2_grpc.OperatorStub(
                grpc.aio.insecure_channel(f"unix:{a.operator_socket}")
            )
            second = await renew(operator)
            clock.now += a.settings.keys.overlap - 1
            third = await renew(operator)
            kept = Home.open(a.path).cards
            assert [own.card for own in kept] == [third, second, first]
            clock.now += 1
            await renew(operator)
            first_files = [a.path / name for name in ("tls.key", "tls.crt", "card.json")]
            await until(lambda: not any(path.exists() for path in first_files))
            assert [own.card for own in Home.open(a.path).cards][1:] == [third, second]
            # The names that a home's folders have are not taken for cards.
            assert sorted(path.name for path in (a.path / "cards").iterdir())[0] == str(second.issued)

    asyncio.run(journey())


def test_cards_live_as_long_as_their_overlap_and_their_certificate(folder: Path) -> None:
    a = make_home(folder, "lab-a")
    clock = Hands(1_800_000_000)
    cards = CurrentCards(a.cards, {}, 1000, clock)
    assert presented(cards) == [0]
    for moment, expected in (
        (1_800_000_000, [1_800_000_000, 0]),
        (1_800_000_999, [1_800_000_999, 1_800_000_000, 0]),
        (1_800_001_500, [1_800_001_500, 1_800_000_999, 1_800_000_000]),
    ):
        clock.now = moment
        cards.add(next_card(a, cards.newest.card, issued=moment))
        assert presented(cards) == expected
    clock.now = 1_800_003_000
    assert presented(cards) == [1_800_001_500]
    assert [own.card.issued for own in cards.remove_ended()] == [1_800_000_999, 1_800_000_000, 0]
    assert presented(cards) == [1_800_001_500]


def test_the_node_renews_a_card_before_its_certificate_ends(folder: Path) -> None:
    from mandorla_node.app.node import running

    a, _ = make_labs(folder, "lab-a", "lab-b")
    ends = certificates.expires_at(a.card)
    clock = Hands(ends - a.settings.keys.renew_before)

    async def journey() -> None:
        async with running(a, clock):
            operator: OperatorService = operator_pb2_grpc.OperatorStub(
                grpc.aio.insecure_channel(f"unix:{a.operator_socket}")
            )
            await said(lambda answer: answer.card_issued == clock.now, operator)
            answer = await status(operator)
            assert answer.card_expires > ends
            assert [peer.card_pending for peer in answer.peers] == [True]

    asyncio.run(journey())


def codes(cards: Iterable[Card], add: Callable[[Card], object]) -> list[str]:
    found = []
    for card in cards:
        try:
            add(card)
            found.append("")
        except (InputError, TransportError) as error:
            found.append(error.code.name)
    return found


@pytest.mark.spec("9.10-2")
def test_an_operator_goes_forward_with_a_card_and_back_only_by_removing_the_peer(folder: Path) -> None:
    a, b = make_home(folder, "lab-a"), make_home(folder, "lab-b")
    one = next_card(b, b.card).card
    two = next_card(b, one).card
    with closing(a.open_store()) as store:
        assert codes([b.card, one, one, two, two], store.peers.add) == [""] * 5
        assert codes([one, b.card], store.peers.add) == ["BAD_CARD"] * 2
        assert store.peers.get("lab-b").card == two
        store.peers.remove("lab-b")
        store.peers.add(b.card)
        assert store.peers.get("lab-b").cards == (b.card,)
        store.peers.add(one, overlap=60)
        assert store.peers.get("lab-b").cards == (one, b.card)
        store.peers.add(one, overlap=60)
        assert store.peers.get("lab-b").cards == (one, b.card)
        store.peers.remove("lab-b")
        store.peers.add(one)
        assert store.peers.get("lab-b").cards == (one,)


def test_a_renewed_home_that_is_sealed_holds_no_plain_key(folder: Path) -> None:
    from mandorla_node.home.key_kinds import SourceKind
    from mandorla_node.home.key_sources import KeySource

    made = Home.create(
        folder / "home", "lab-a", "127.0.0.1:1", source=KeySource(SourceKind.FILE, folder / "lab.key")
    )
    own = issue(made, made.card, "127.0.0.1:2", 1_800_000_000)
    assert own_cards.plain_keys(made.path) == []
    opened = Home.open(made.path)
    assert [one.card for one in opened.cards] == [own.card, made.card]
    assert opened.tls_key == own.tls_key
    assert opened.card.endpoint == "127.0.0.1:2"


def test_an_endpoint_that_is_none_renews_nothing(folder: Path) -> None:
    a = make_home(folder, "lab-a")

    async def journey() -> None:
        async with serving(a) as (at_a,):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await renew(at_a, "nowhere")
            assert code_of(caught.value) == Code.BAD_CARD.name

    asyncio.run(journey())
    assert len(Home.open(a.path).cards) == 1
