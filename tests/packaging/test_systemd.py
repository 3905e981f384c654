"""The systemd unit: valid, confined, and true of the node that it runs."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.app.service_manager import service_manager
from mandorla_node.home.folder import Home
from tests.support.labs import (
    NO_WATCH,
    addresses,
    answering,
    ingest,
    make_home,
    make_labs,
    matched,
    run_round,
    serving,
)
from tests.support.patience import PATIENCE
from tests.support.sandbox import allowed
from tests.support.units import SYSTEMD, UNIT, read_unit

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/operators.md"

_NEWER = re.compile(r"Unknown key.* 'Restart(Steps|MaxDelaySec)'.*ignoring")


with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="`make test-tools` could not install systemd"
)


@pytest.fixture
def unit(folder: Path) -> Path:
    """The unit, with a program that is there."""
    copy = folder / UNIT.name
    text = UNIT.read_text()
    program = read_unit(UNIT)["Service"]["ExecStart"][0].split()[0]
    shutil.copy(shutil.which("true") or "/bin/true", folder / "mandorla")
    copy.write_text(text.replace(program, str(folder / "mandorla")))
    return copy


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@with_systemd
def test_the_unit_is_valid(unit: Path) -> None:
    verified = analyze("verify", "--man=no", str(unit).replace("@.", "@alder."))
    said = [line for line in verified.stderr.splitlines() if str(unit.parent) in line]
    assert [line for line in said if not _NEWER.search(line)] == []


def test_a_crash_leaves_no_dump_and_a_hang_no_node() -> None:
    service = {key: values[-1] for key, values in read_unit(UNIT)["Service"].items()}
    assert service["LimitCORE"] == "0"
    assert (service["Type"], service["Restart"], service["WatchdogSec"]) == ("notify", "on-failure", "60")
    assert service["StateDirectory"] == "mandorla/%i"
    assert service["ExecStart"].endswith(f" serve --home /var/lib/{service['StateDirectory']}")


@with_systemd
def test_a_wrong_unit_is_found_out(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    verified = analyze("verify", "--man=no", str(unit).replace("@.", "@alder."))
    assert "'NoNewPrivilege'" in verified.stderr


@with_systemd
def test_no_call_passes_the_filter_by() -> None:
    """A ring of io_uring makes sockets and opens files without the calls that the filter looks at."""
    left = allowed(read_unit(UNIT)["Service"]["SystemCallFilter"])
    assert {"openat", "socket", "futex"} <= left
    assert not {call for call in left if call.startswith(("io_uring_", "bpf", "ptrace"))}


@with_systemd
def test_its_exposure_is_low(unit: Path) -> None:
    """By systemd's own reckoning, from 0 to 10. What is left is the network, which a node is for."""
    assessed = analyze("security", "--offline=yes", "--no-pager", "--threshold=15", unit)
    assert assessed.returncode == 0, assessed.stdout
    laxer = unit.with_name("laxer@.service")
    laxer.write_text(re.sub(r"(?m)^(Protect|Private|Restrict)\w+=.*\n", "", unit.read_text()))
    assert analyze("security", "--offline=yes", "--no-pager", "--threshold=15", laxer).returncode != 0


@with_systemd
def test_the_user_that_it_runs_as_is_made(folder: Path) -> None:
    user = read_unit(UNIT)["Service"]["User"][0]
    for database in ("passwd", "group", "shadow", "gshadow"):
        (folder / "etc").mkdir(exist_ok=True)
        (folder / "etc" / database).write_text("")
    made = subprocess.run(
        ["systemd-sysusers", f"--root={folder}", str(SYSTEMD / "mandorla.sysusers.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert (folder / "etc/passwd").read_text().startswith(f"{user}:")


def test_the_guide_makes_every_folder_that_it_writes_in(folder: Path) -> None:
    """On a machine with no more than Debian's systemd brings: no folder for credentials, nor for users."""
    for there in ("etc/systemd/system", "var/lib", "srv", "dev/shm"):
        (folder / there).mkdir(parents=True)
    guide = GUIDE.read_text()
    for line in re.findall(r"(?m)^install .*", guide):
        words = [word for word in shlex.split(line) if not word.startswith(("--owner=", "--group="))]
        here = [f"{folder}{word}" if word.startswith("/") else word for word in words]
        subprocess.run(here, cwd=ROOT, check=True)
    assert (folder / "etc/sysusers.d/mandorla.conf").read_text() == (
        SYSTEMD / "mandorla.sysusers.conf"
    ).read_text()
    assert (folder / "etc/systemd/system" / UNIT.name).read_text() == UNIT.read_text()
    documentation = read_unit(UNIT)["Unit"]["Documentation"][0].removeprefix("file:")
    assert (folder / documentation[1:]).read_text() == guide
    written = re.findall(r"(?:/etc|/srv|/dev/shm|/var/lib)/[\w./$-]+", guide)
    assert "/etc/credstore.encrypted/$LAB" in written
    for path in written:
        assert (folder / path[1:]).parent.is_dir(), path
    for secret in ("etc/credstore.encrypted", "var/lib/mandorla", "srv/backup"):
        assert (folder / secret).stat().st_mode & 0o777 == 0o700


@contextmanager
def manager(folder: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A service manager: its socket, and what it gives a service as its environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(folder / "notify"))
        heard.settimeout(PATIENCE)
        yield heard, {"NOTIFY_SOCKET": str(folder / "notify")}


def heard_until(heard: socket.socket, state: str) -> list[str]:
    """Return what a service said before, and with, a state."""
    said = []
    while state not in said:
        said.append(heard.recv(4096).decode())
    return said


def serve(home: Home) -> list[str]:
    return [sys.executable, "-m", "mandorla_node.cli", "serve", "--home", str(home.path)]


def test_a_node_says_when_it_serves_that_it_lives_and_when_it_stops(folder: Path) -> None:
    home = make_home(folder, "alder")
    with manager(folder) as (heard, environment):
        environment |= {"WATCHDOG_USEC": "300000"}
        process = subprocess.Popen(serve(home), env=os.environ | NO_WATCH | environment)
        try:
            heard_until(heard, "READY=1")
            assert home.operator_socket.exists()
            for _ in range(3):
                heard_until(heard, "WATCHDOG=1")
            process.send_signal(signal.SIGTERM)
            heard_until(heard, "STOPPING=1")
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()


def test_a_node_that_cannot_start_never_says_that_it_serves(folder: Path) -> None:
    home = make_home(folder, "alder")
    (home.path / "mandorla.toml").write_text("nonsense = 1\n")
    with manager(folder) as (heard, environment):
        ended = subprocess.run(serve(home), env=os.environ | environment, capture_output=True, check=False)
        assert ended.returncode != 0
        heard.setblocking(False)
        with pytest.raises(BlockingIOError):
            heard.recv(4096)


def test_children_do_not_speak_for_the_node() -> None:
    environment = {"NOTIFY_SOCKET": "/run/nothing", "WATCHDOG_USEC": "3000000", "PATH": "/bin"}

    async def look() -> None:
        async with service_manager(environment) as service:
            assert environment == {"PATH": "/bin"}
            assert service.watchdog_interval == 1.0
            service.ready()  # nobody listens, which is no error

    asyncio.run(look())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "-3"},
        {"WATCHDOG_USEC": "\u0663"},
        {"WATCHDOG_USEC": "0"},
    ],
)
def test_a_watchdog_that_does_not_watch_this_process_is_not_fed(environment: dict[str, str]) -> None:
    async def look() -> float:
        async with service_manager(environment) as service:
            return service.watchdog_interval

    assert asyncio.run(look()) == 0


@with_systemd
@pytest.mark.parametrize("engine", ["auto", "portable"])
def test_a_node_works_within_its_bounds(folder: Path, engine: str) -> None:
    """Under the unit's filter of calls, and without memory that is written and run; /proc has only itself."""
    alder, birch = make_labs(folder, "alder", "birch")
    ingest(alder, addresses(range(20)))
    ingest(birch, addresses(range(10, 30)))
    confined = [sys.executable, "-m", "tests.support.sandbox", str(UNIT), *serve(alder)]

    async def journey() -> None:
        async with serving(birch):
            operator = await answering(alder)
            assert (await run_round(operator, "birch")).outcome == "committed"
            assert await matched(operator) == addresses(range(10, 20))
            load = (await operator.Status(operator_pb2.StatusRequest())).load
            assert load.memory_bytes > 0
            assert load.cpu_seconds > 0

    process = subprocess.Popen(confined, env=os.environ | NO_WATCH | {"MANDORLA_ENGINE": engine})
    try:
        asyncio.run(journey())
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


@with_systemd
def test_what_the_unit_forbids_is_refused() -> None:
    """The launcher of the test before does confine: a call of a group that is left out fails."""
    change_owner = "import os; os.chown('/dev/null', 0, 0)"
    confined = [sys.executable, "-m", "tests.support.sandbox", str(UNIT), sys.executable, "-c", change_owner]
    ended = subprocess.run(confined, capture_output=True, text=True, check=False)
    assert "PermissionError" in ended.stderr
