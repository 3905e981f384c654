"""What a host's service manager does: `python -m tests.support.hosts.manager systemctl start mandorla@alder`.

It runs the unit's own command, as its instance, with its credential, and holds it to what the unit says: a
start is done when the node says that it serves, and a stop has the unit's time. Users and the machine's own
key are left out. Folders of the host are below $HOST_ROOT. Nodes end with the test: their standard input is
the descriptor $HOST_LIFE.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.units import UNIT, read_unit

ROOT = Path(os.environ.get("HOST_ROOT", "/nonexistent"))
SERVICE = {key: values[-1] for key, values in read_unit(UNIT)["Service"].items()}
PROGRAM = [sys.executable, "-m", "mandorla_node.cli"]
_START = 60.0


def systemctl(*arguments: str) -> None:
    """Start, stop and restart nodes."""
    now = "--now" in arguments
    verb, *names = [argument for argument in arguments if not argument.startswith("-")]
    for name in names:
        instance = name.removesuffix(".service").removeprefix("mandorla@")
        if verb in {"stop", "restart"} or (verb == "disable" and now):
            stop(instance)
        if verb in {"start", "restart"} or (verb == "enable" and now):
            start(instance)


def start(instance: str) -> None:
    """Start a node, and wait until it serves."""
    program, *rest = SERVICE["ExecStart"].replace("%i", instance).split()
    assert program.endswith("/mandorla")
    command = [*PROGRAM, *(below(one) for one in rest), "--exit-with-parent"]
    credential = SERVICE["LoadCredentialEncrypted"].replace("%i", instance)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, journal(instance).open("ab") as log:
        address = ROOT / "run/notify"
        address.unlink(missing_ok=True)
        heard.bind(str(address))
        environment = os.environ | {"NOTIFY_SOCKET": str(address)} | credentials(credential)
        process = subprocess.Popen(
            command,
            stdin=int(os.environ["HOST_LIFE"]),
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
        pid_file(instance).write_text(str(process.pid))
        ended = os.pidfd_open(process.pid)
        while True:
            ready, _, _ = select.select([heard, ended], [], [], _START)
            if heard in ready and b"READY=1" in heard.recv(4096):
                return
            if ended in ready or not ready:
                sys.exit(f"Job for mandorla@{instance}.service failed.\n{journal(instance).read_text()}")


def stop(instance: str) -> None:
    """Stop a node; kill it if it takes longer than its unit gives it."""
    if not pid_file(instance).exists():
        return
    pid = int(pid_file(instance).read_text())
    pid_file(instance).unlink()
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    os.kill(pid, signal.SIGTERM)
    if not select.select([ended], [], [], float(SERVICE["TimeoutStopSec"]))[0]:
        os.kill(pid, signal.SIGKILL)
        sys.exit(f"mandorla@{instance}.service: State 'stop-sigterm' timed out. Killing.")


def systemd_creds(*arguments: str) -> None:
    """Put a credential where services find it."""
    verb, name, source, target = arguments
    assert (verb, name) == ("encrypt", f"--name={Path(target).name}")
    shutil.copy(source, target)


def systemd_run(*arguments: str) -> None:
    """Run a command with a credential."""
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest[0].startswith("-"):
        option = rest.pop(0)
        key, _, value = option.partition("=")
        if key == "--property" and value.startswith("LoadCredentialEncrypted="):
            given |= credentials(value.partition("=")[2])
    os.execvpe(rest[0], rest, os.environ | given)


def journalctl(*arguments: str) -> None:
    """Print what a node logged."""
    unit = next(one for one in arguments if one.startswith("--unit="))
    sys.stdout.write(journal(unit.partition("@")[2]).read_text())


def credentials(name: str) -> dict[str, str]:
    """Give a service the credential that there is; one that there is not is no error, as with systemd."""
    folder = ROOT / "run/credentials"
    folder.mkdir(parents=True, exist_ok=True)
    stored = ROOT / "etc/credstore.encrypted" / name
    if stored.exists():
        shutil.copy(stored, folder / name)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def below(path: str) -> str:
    """Return where a path of the host is on this machine."""
    return f"{ROOT}{path}" if path.startswith("/") else path


def pid_file(instance: str) -> Path:
    """Return the file that says which process a node is."""
    return ROOT / "run" / f"{instance}.pid"


def journal(instance: str) -> Path:
    """Return the file that a node logs to."""
    return ROOT / "run" / f"{instance}.log"


COMMANDS = {
    "systemctl": systemctl,
    "systemd-creds": systemd_creds,
    "systemd-run": systemd_run,
    "journalctl": journalctl,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
