"""Notices: the lab's own systems hear of each new match, at least once, in order, and signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from mandorla.v1 import operator_pb2
from mandorla_node.app.node import running
from mandorla_node.client import Client, Label, Severity
from mandorla_node.config.default_file import initial_toml
from mandorla_node.config.settings import load_settings
from mandorla_node.config.webhook_address import parse_address
from mandorla_node.home.folder import Home
from mandorla_node.notices.secrets import load_secrets
from mandorla_node.telemetry.logs import configure_logs
from mandorla_protocol.errors import Code, NodeError
from tests.support.labs import addresses, make_labs, node_process, pause, record_matches
from tests.support.patience import PATIENCE
from tests.support.receiver import Call, Receiver, receiving, tunnelling


def configured(home: Home, *settings: str) -> Home:
    """Return a home with settings of `[notify]`."""
    config = home.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[notify]\n", "\n".join(("[notify]", *settings, ""))))
    return Home.open(home.path)


def begun(home: Home, receiver: str) -> Home:
    """Let a receiver have been there before the matches that follow."""
    store = home.open_store()
    store.notices.begin(receiver)
    store.close()
    return home


@pytest.fixture
def labs(folder: Path) -> list[Home]:
    return make_labs(folder, "lab-a", "lab-b")


async def received(receiver: Receiver) -> Call:
    return await asyncio.to_thread(receiver.calls.get, timeout=PATIENCE)


def values(calls: Sequence[Call]) -> list[str]:
    return [json.loads(call.body)["data"]["value"] for call in calls]


async def until(client: Client, reached: Any) -> operator_pb2.NoticeStatus:
    while True:
        (notices,) = (await client.status()).notices
        if reached(notices):
            return notices
        await pause()


def test_a_match_is_told_as_it_begins_and_its_signature_verifies(labs: list[Home]) -> None:
    async def journey(receiver: Receiver) -> Call:
        lab_b = configured(labs[1], f'webhook = "{receiver.address}"')
        async with (
            running(labs[0], watch=True),
            running(lab_b, watch=True),
            Client(labs[0].path) as at_a,
            Client(lab_b.path) as at_b,
        ):
            await at_b.observe([("ipv4", "198.18.0.1")])
            await at_a.flag([("ipv4", "198.18.0.1")], Label(severity=Severity.HIGH))
            call = await received(receiver)
            await until(at_b, lambda notices: not notices.waiting)
            return call

    with receiving(Receiver()) as receiver:
        call = asyncio.run(asyncio.wait_for(journey(receiver), PATIENCE))
    assert call.path == "/hook?token=sentinel-token"
    assert call.headers["content-type"] == "application/json"
    notice = json.loads(call.body)
    assert (notice["type"], notice["lab"]) == ("match.began", "lab-b")
    expected = {"type": "ipv4", "value": "198.18.0.1", "peer": "lab-a", "kind": "watch", "event": 1}
    assert expected.items() <= notice["data"].items()
    assert notice["data"]["label"]["severity"] == "high"
    # As a receiver verifies it, with what Standard Webhooks says and nothing of ours.
    secret = (labs[1].path / "notify.secret").read_text().strip()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join(
        (call.headers["webhook-id"].encode(), call.headers["webhook-timestamp"].encode(), call.body)
    )
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert call.headers["webhook-signature"] == f"v1,{mac}"
    assert abs(time.time() - int(call.headers["webhook-timestamp"])) < PATIENCE
    assert "." not in call.headers["webhook-id"]
    assert stat.S_IMODE((labs[1].path / "notify.secret").stat().st_mode) == 0o600


FAULTS: list[int | bytes | str] = [
    500,
    302,
    410,
    "hang",
    b"",
    b"SSH-2.0-sentinel\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"x: sentinel\r\n" * 4_000 + b"\r\n",
]


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
def test_a_receiver_that_fails_is_asked_again_and_the_order_is_kept(
    labs: list[Home], fault: int | bytes | str, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver = Receiver(answers=[204, fault, 204])

    async def journey() -> list[Call]:
        home = configured(
            labs[0], f'webhook = "{receiver.address}"', f"timeout = {3 if fault == 'hang' else 60}"
        )
        begun(home, "webhook")
        record_matches(home, labs[1], addresses(range(3)))
        async with running(home), Client(home.path) as client:
            calls = [await received(receiver) for _ in range(4)]
            notices = await until(client, lambda notices: not notices.waiting)
            assert (notices.receiver, notices.failures, notices.last_error) == ("webhook", 0, "")
        return calls

    configure_logs("info")
    try:
        with receiving(receiver):
            calls = asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    finally:
        structlog.reset_defaults()
    assert values(calls) == [*addresses([0, 1, 1, 2])]
    ids = [call.headers["webhook-id"] for call in calls]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3
    assert receiver.calls.empty()
    logged = "".join(capfd.readouterr())
    assert logged.count("notice not delivered") == 1
    assert "notices are delivered again" in logged
    secret = (labs[0].path / "notify.secret").read_text().strip()
    for hidden in ("sentinel", "198.18", secret, secret.removeprefix("whsec_")):
        assert hidden not in logged


def test_a_receiver_that_is_away_loses_nothing_and_is_seen_in_the_status(
    labs: list[Home], capfd: pytest.CaptureFixture[str]
) -> None:
    receiver = Receiver()
    with receiving(receiver):
        pass

    async def journey() -> None:
        home = configured(labs[0], f'webhook = "{receiver.address}"')
        begun(home, "webhook")
        record_matches(home, labs[1], addresses(range(3)))
        async with running(home), Client(home.path) as client:
            notices = await until(client, lambda notices: notices.failures > 1)
            assert (notices.waiting, notices.last_error) == (3, "connection refused")
            assert notices.failing_since
            for options in ([], ["--json"]):
                command = (sys.executable, "-m", "mandorla_node.cli", "status", "--home", str(home.path))
                shown = await asyncio.create_subprocess_exec(*command, *options)
                assert await shown.wait() == 0
            out = capfd.readouterr().out
            assert "The webhook has not received 3 matches: since" in " ".join(out.split())
            assert '"last_error": "connection refused"' in out
            with receiving(receiver):
                calls = [await received(receiver) for _ in range(3)]
                await until(client, lambda notices: not notices.waiting)
            assert values(calls) == addresses(range(3))

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


def test_a_node_that_is_killed_before_it_notes_a_delivery_delivers_again(labs: list[Home]) -> None:
    receiver = Receiver()
    home = configured(labs[0], f'webhook = "{receiver.address}"')
    begun(home, "webhook")
    record_matches(home, labs[1], addresses(range(3)))
    with receiving(receiver):
        with node_process(home) as process:

            def kill() -> None:
                if receiver.calls.qsize() == 2:
                    os.kill(process.pid, signal.SIGKILL)

            receiver.before_answer = kill
            process.wait(PATIENCE)
        receiver.before_answer = None
        first = [receiver.calls.get(timeout=PATIENCE) for _ in range(2)]
        with node_process(home):
            second = [receiver.calls.get(timeout=PATIENCE) for _ in range(2)]
    assert values(first + second) == addresses([0, 1, 1, 2])
    assert first[1].headers["webhook-id"] == second[0].headers["webhook-id"]


def test_a_new_receiver_is_not_told_of_what_was_before_it(labs: list[Home]) -> None:
    receiver = Receiver()
    record_matches(labs[0], labs[1], addresses([0]))
    home = configured(labs[0], f'webhook = "{receiver.address}"')
    begun(home, "webhook")
    record_matches(home, labs[1], addresses([0, 1]))

    async def journey() -> Call:
        async with running(home), Client(home.path) as client:
            call = await received(receiver)
            await until(client, lambda notices: not notices.waiting)
            return call

    with receiving(receiver):
        call = asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    assert values([call]) == addresses([1])
    assert receiver.calls.empty()


def test_https_is_verified_and_a_proxy_is_used_if_it_is_configured(labs: list[Home], folder: Path) -> None:
    import ssl

    # A certificate for 127.0.0.1, by an authority of the test's own.
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver = Receiver()
    asked: list[str] = []

    async def journey() -> None:
        address = receiver.address.replace("http:", "https:")
        home = configured(labs[0], f'webhook = "{address}"')
        begun(home, "webhook")
        record_matches(home, labs[1], addresses([0]))
        async with running(home), Client(home.path) as client:
            notices = await until(client, lambda notices: notices.failures)
            assert notices.last_error == "its certificate is not trusted"
        config = home.path / "mandorla.toml"
        trusting = f'[notify]\nca_file = "{certificate}"\nproxy = "http://127.0.0.1:{proxy}"\n'
        config.write_text(config.read_text().replace("[notify]\n", trusting))
        home = Home.open(home.path)
        async with running(home), Client(home.path) as client:
            assert values([await received(receiver)]) == addresses([0])
            await until(client, lambda notices: not notices.waiting)

    with receiving(receiver, context), tunnelling(asked) as proxy:
        asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    assert asked == [f"127.0.0.1:{receiver.port}"]


def _certificate(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "receiver.crt", folder / "receiver.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return files


PROGRAM = """
import json, os, sys
from pathlib import Path
folder = Path(sys.argv[1])
notice = json.load(sys.stdin)
with (folder / "told").open("a") as told:
    told.write(f"{notice['data']['value']} {'MANDORLA_LOG_LEVEL' in os.environ}\\n")
if (folder / "fails").exists():
    (folder / "fails").unlink()
    sys.exit(3)
if (folder / "hangs").exists():
    (folder / "hangs").unlink()
    (folder / "group").write_text(f"{os.getpid()} {os.getpgrp()} {os.getppid()}")
    import signal
    signal.pause()
"""


def test_a_command_reads_each_notice_and_acknowledges_by_its_status(
    labs: list[Home], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANDORLA_LOG_LEVEL", "warning")
    program = folder / "program.py"
    program.write_text(PROGRAM)
    command = json.dumps([sys.executable, str(program), str(folder)])
    home = configured(labs[0], f"command = {command}", "timeout = 3")
    begun(home, "command")
    record_matches(home, labs[1], addresses(range(3)))
    for fault in ("fails", "hangs"):
        (folder / fault).touch()

    async def journey() -> None:
        async with running(home), Client(home.path) as client:
            await until(client, lambda notices: notices.last_error == "exit status 3" or not notices.waiting)
            await until(client, lambda notices: not notices.waiting)

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    told = (folder / "told").read_text().splitlines()
    # The first fails, and hangs when it is tried again.
    assert told == [f"{value} False" for value in addresses([0, 0, 0, 1, 2])]
    process, group, parent = map(int, (folder / "group").read_text().split())
    assert process == group
    assert parent == os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_command_that_is_not_there_is_a_failure_like_others(labs: list[Home]) -> None:
    home = configured(labs[0], 'command = ["/nowhere/program"]')
    begun(home, "command")
    record_matches(home, labs[1], addresses([0]))

    async def journey() -> None:
        async with running(home), Client(home.path) as client:
            notices = await until(client, lambda notices: notices.failures)
            assert (notices.receiver, notices.last_error) == ("command", "the command cannot be run")

    asyncio.run(asyncio.wait_for(journey(), PATIENCE))


@pytest.mark.parametrize(
    "setting",
    [
        'webhook = "http://gateway.example/hook"',
        'webhook = "http://10.0.0.1/hook"',
        'webhook = "ftp://127.0.0.1/"',
        'webhook = "https://user:sentinel@gateway.example/"',
        'webhook = "https://gateway.example/#sentinel"',
        'webhook = "https://gateway.example/sentinel\\r\\nx: y"',
        'webhook = "https://gateway.example:99999/"',
        'webhook = "https://gateway.example:0/"',
        'webhook = "https:///sentinel"',
        'proxy = "https://proxy.example:3128"',
        'command = [""]',
        "timeout = 0",
    ],
)
def test_what_would_be_unsafe_is_refused_and_not_quoted(folder: Path, setting: str) -> None:
    path = folder / "mandorla.toml"
    initial = initial_toml("lab-a", "127.0.0.1:7443", "127.0.0.1:7443")
    path.write_text(initial.replace("[notify]\n", f"[notify]\n{setting}\n"))
    with pytest.raises(NodeError) as caught:
        load_settings(path)
    assert caught.value.code is Code.BAD_CONFIG
    assert "notify." in caught.value.detail
    assert "sentinel" not in caught.value.detail


@pytest.mark.parametrize(
    ("address", "authority", "target"),
    [
        ("https://gateway.example/a?b", "gateway.example:443", "/a?b"),
        ("http://localhost:8080", "localhost:8080", "/"),
        ("http://[::1]:8080/x", "[::1]:8080", "/x"),
    ],
)
def test_an_address_is_taken_apart(address: str, authority: str, target: str) -> None:
    parsed = parse_address(address)
    assert (parsed.authority, parsed.target) == (authority, target)
    assert repr(parsed) == f"Address({authority})"


@pytest.mark.parametrize(
    "content", ["", "whsec_", "whsec_c2hvcnQ=", "sentinel" * 4, "whsec_sentinel!", "whsec_AAAA\n" * 5]
)
def test_a_secret_is_one_or_none_is_used(folder: Path, content: str) -> None:
    path = folder / "secret"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(NodeError) as caught:
        load_secrets(path)
    assert caught.value.code is Code.BAD_CONFIG
    assert "sentinel" not in caught.value.detail


def test_a_secret_is_nobody_elses_and_two_sign_while_one_follows_the_other(
    labs: list[Home], folder: Path
) -> None:
    path = folder / "secret"
    old, new = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    path.write_text(f"whsec_{new}\nwhsec_{old}\n")
    with pytest.raises(NodeError) as caught:
        load_secrets(path)
    assert "chmod" in caught.value.detail
    path.chmod(0o640)
    receiver = Receiver()
    with receiving(receiver):
        home = configured(labs[0], f'webhook = "{receiver.address}"', f'secret_file = "{path}"')
        begun(home, "webhook")
        record_matches(home, labs[1], addresses([0]))

        async def journey() -> Call:
            async with running(home):
                return await received(receiver)

        call = asyncio.run(asyncio.wait_for(journey(), PATIENCE))
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
    for secret, found in zip((new, old), call.headers["webhook-signature"].split(), strict=True):
        mac = hmac.new(base64.b64decode(secret), signed, hashlib.sha256).digest()
        assert found == f"v1,{base64.b64encode(mac).decode()}"
    assert not (home.path / "notify.secret").exists()
