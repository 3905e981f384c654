"""What an operator allows a peer is what the node agrees to, and a pause takes effect at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.app.node import running
from mandorla_node.config.peer_settings import PeerRoundSettings, PeerSettings, RoundSettings
from mandorla_node.crypto.vault import Vault, new_key
from mandorla_node.home.folder import Home
from mandorla_node.peers.policy import Policies
from mandorla_node.store import Store
from mandorla_protocol.errors import Code, NodeError, RoundError
from mandorla_protocol.header import RoundKind
from mandorla_protocol.indicators import Collection
from tests.node.rounds.test_watch import (
    Clock,
    asking,
    budget,
    ingest,
    two_labs,
    until_matched,
    until_standing,
)
from tests.support.labs import (
    SHARED,
    WATCH,
    addresses,
    answering,
    code_of,
    make_labs,
    matched,
    run_round,
    serving,
)
from tests.support.patience import PATIENCE


def configured(home: Home, text: str) -> Home:
    config = home.path / "mandorla.toml"
    table, _, _ = text.partition("\n")
    old = config.read_text()
    # A table that is there already cannot come a second time.
    config.write_text(old.replace(f"{table}\n", text) if f"{table}\n" in old else f"{old}\n{text}")
    return Home.open(home.path)


def test_rules_of_a_peer_go_before_the_defaults_and_those_of_a_collection_before_both(folder: Path) -> None:
    store = Store.open(folder / "mandorla.db", Vault(new_key()), lambda: 1_800_000_000)
    accounts = PeerRoundSettings(budget=7, kinds=())
    peers = {"lab-b": PeerSettings(budget=5, kinds=("watch",), collections={Collection.ACCOUNTS: accounts})}
    policies = Policies(RoundSettings(budget=3, cap=2), peers, store)
    assert policies.of("lab-c", "accounts").budget == 3
    assert policies.of("lab-b", "prompts").budget == 5
    assert policies.of("lab-b", "prompts").kinds == {RoundKind.WATCH}
    assert policies.of("lab-b", "accounts").budget == 7
    assert policies.of("lab-b", "accounts").kinds == frozenset()
    assert policies.of("lab-b", "accounts").cap == 2
    with pytest.raises(RoundError) as caught:
        policies.of("lab-b", "prompts").require(RoundKind.SHARED)
    assert caught.value.code is Code.POLICY_REFUSED
    store.close()


@pytest.mark.parametrize(
    "text",
    [
        '[peers.lab-b]\nkinds = ["all"]\n',
        "[peers.lab-b]\nbudgets = 1\n",
        "[action]\ntypes = { nothing = 1 }\n",
    ],
    ids=["kind", "key", "type"],
)
def test_a_rule_that_means_nothing_is_refused(folder: Path, text: str) -> None:
    (home,) = make_labs(folder, "lab-a")
    with pytest.raises(NodeError) as caught:
        configured(home, text)
    assert caught.value.code is Code.BAD_CONFIG


@pytest.mark.spec("9.3-2")
def test_what_policy_does_not_allow_is_neither_proposed_nor_agreed_to(folder: Path) -> None:
    lab_a, lab_b = make_labs(folder, "lab-a", "lab-b")
    lab_b = configured(lab_b, '[peers.lab-a]\nkinds = ["shared"]\nbudget = 600\ncap = 300\n')

    async def journey() -> None:
        async with serving(lab_a, lab_b) as (at_a, at_b):
            for at, peer in ((at_a, "lab-b"), (at_b, "lab-a")):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await run_round(at, peer, WATCH)
                assert code_of(caught.value) == "POLICY_REFUSED"
            for _ in range(2):
                assert (await run_round(at_a, "lab-b", SHARED)).outcome == "committed"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b", SHARED)
            # 88 evaluations are left of this lab's budget, and the smallest question has 256.
            assert code_of(caught.value) == "CAP_EXCEEDED"

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_peer_with_a_rate_of_its_own_is_slower_than_the_others(folder: Path) -> None:
    lab_a, lab_b, lab_c = make_labs(folder, "lab-a", "lab-b", "lab-c")
    config = lab_b.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[limits]\n", "[limits]\nelement_burst = 300\n"))
    lab_b = configured(lab_b, "[peers.lab-a]\nelements_per_second = 1\n")

    async def journey() -> None:
        async with serving(lab_a, lab_b, lab_c) as (at_a, _, at_c):
            for operator in (at_a, at_c, at_c):
                assert (await run_round(operator, "lab-b", SHARED)).outcome == "committed"
            # The smallest chunk has 256 elements, so lab-a has to wait for minutes.
            assert (await run_round(at_a, "lab-b", SHARED)).code == "RATE_LIMITED"

    asyncio.run(asyncio.wait_for(journey(), 60))


def test_a_pause_takes_effect_at_once_and_ends_when_it_is_taken_back(folder: Path) -> None:
    async def journey() -> None:
        async with serving(*two_labs(folder), watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            await ingest(at_b, addresses(range(3)), "observed")
            await at_a.Pause(operator_pb2.PauseRequest(peer="lab-b", paused=True))
            status = await at_a.Status(operator_pb2.StatusRequest())
            assert status.peers[0].paused_at
            assert {(one.state, one.code) for one in status.rounds} == {("aborted", "PAUSED")}
            for at, peer in ((at_a, "lab-b"), (at_b, "lab-a")):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await run_round(at, peer, SHARED)
                assert code_of(caught.value) == "PAUSED"
            await ingest(at_a, addresses([1]), "flagged")
            assert await matched(at_b) == []
            await at_a.Pause(operator_pb2.PauseRequest(peer="lab-b", paused=False))
            await until_matched(at_b, addresses([1]))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await at_a.Pause(operator_pb2.PauseRequest(peer="nobody", paused=True))
            assert code_of(caught.value) == "UNKNOWN_PEER"

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_what_is_actionable_is_what_policy_says(folder: Path) -> None:
    lab_a, lab_b = two_labs(folder)
    lab_b = configured(lab_b, "[action]\nown_evidence = false\nlabs = 2\ntypes = { ipv4 = 1 }\n")

    async def journey() -> None:
        async with serving(lab_a, lab_b, watch=True) as (at_a, at_b):
            await until_standing(at_a, 1)
            await ingest(at_a, addresses([1]), "flagged")
            await ingest(at_b, addresses([1, 2]), "observed")
            await ingest(at_b, addresses([2]), "flagged")
            await until_matched(at_b, addresses([1]))
            answer = await at_b.Check(asking(*addresses([1, 2, 3])))
            assert [one.actionable for one in answer.results] == [True, False, False]
            answer = await at_a.Check(asking(*addresses([1])))
            assert [one.actionable for one in answer.results] == [True], "its own flag is enough there"

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_key_whose_budget_is_spent_ends_early_but_not_before_policy_says(folder: Path) -> None:
    lab_a, lab_b = make_labs(folder, "lab-a", "lab-b")
    lab_b = configured(lab_b, "[peers.lab-a]\nbudget = 300\nepoch_shortest = 3600\n")
    clock = Clock()

    async def journey() -> None:
        async with running(lab_a, clock), running(lab_b, clock):
            at_a, at_b = await answering(lab_a), await answering(lab_b)
            await ingest(at_a, addresses(range(5)), "flagged")
            await ingest(at_b, addresses(range(3, 8)), "flagged")
            assert (await run_round(at_a, "lab-b", SHARED)).outcome == "committed"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_a, "lab-b", SHARED)
            assert code_of(caught.value) == "CAP_EXCEEDED"
            assert (await budget(at_b, "lab-a")).epoch == 1
            clock.now += 3600
            await ingest(at_b, addresses([0]), "flagged")
            # What matched under the key before holds while this lab asks again under the next.
            assert await matched(at_a) == addresses([3, 4])
            assert (await run_round(at_a, "lab-b", SHARED)).outcome == "committed"
            assert (await budget(at_b, "lab-a")).epoch == 2
            assert await matched(at_a) == addresses([0, 3, 4])

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
