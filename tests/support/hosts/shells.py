"""A host's shell, which is told one command after another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.hosts.manager import COMMANDS
from tests.support.hosts.networks import Network
from tests.support.patience import PATIENCE

REPOSITORY = Path(__file__).parents[3]
_END = "-- end of command --"


class Shell:
    """A shell on a host, with the host's folders below `root`."""

    def __init__(self, host: str, root: Path, network: Network, life: int) -> None:
        self.host, self.root = host, root
        self.working = root / "var/lib/mandorla"  # where the guide goes before it writes a file
        self._renamed = dict(network.renamed) | {
            path: f"{root}{path}"
            for path in ("/var/lib/mandorla", "/etc/credstore.encrypted", "/dev/shm", "/srv")
        }
        for folder in ("bin", "run", "var/lib/mandorla", "dev/shm", "srv/backup", "etc/credstore.encrypted"):
            (root / folder).mkdir(parents=True)
        for name in COMMANDS:
            self._program(name, f"-m tests.support.hosts.manager {name}")
        self._program("mandorla", "-m mandorla_node.cli")
        environment = {
            "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "HOME": str(root),
            "TMPDIR": str(root),
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            "HOST_ROOT": str(root),
            "HOST_LIFE": str(life),
        }
        self._process = subprocess.Popen(
            [*network.enter[host], "bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=root,
            env=environment,
            pass_fds=(life,),
        )

    def run(self, command: str) -> tuple[int, str]:
        """Run a command of the guide; returns its exit status, and what it printed."""
        for path, here in self._renamed.items():
            command = command.replace(path, here)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {command}\n}} < /dev/null; set -- $?; echo; echo '{_END}' $1\n")
        self._process.stdin.flush()
        late = threading.Timer(PATIENCE, self._process.kill)
        late.start()
        printed = ""
        try:
            for line in self._process.stdout:
                if line.startswith(_END):
                    return int(line.removeprefix(_END)), self._as_written(printed)
                printed += line
        finally:
            late.cancel()
        raise AssertionError(f"{self.host}: no end of {command}\n{printed}")

    def _as_written(self, printed: str) -> str:
        """Return what was printed, with the guide's own paths and addresses."""
        for path, here in self._renamed.items():
            printed = printed.replace(here, path)
        return printed

    def close(self) -> None:
        """End the shell, and the nodes that were started from it."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        for file in (self.root / "run").glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _program(self, name: str, arguments: str) -> None:
        file = self.root / "bin" / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        file.chmod(0o755)


@contextmanager
def shells(hosts: Sequence[str], folder: Path, network: Network) -> Iterator[Mapping[str, Shell]]:
    """Give each host a shell. Nodes that they start end with the context, and with this process."""
    life, ours = os.pipe()
    opened: dict[str, Shell] = {}
    try:
        for host in hosts:
            opened[host] = Shell(host, folder / host, network, life)
        yield opened
    finally:
        os.close(ours)
        for shell in opened.values():
            shell.close()
        os.close(life)
