"""A network for each host: a namespace with its own address where there can be one, and else loopback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.support.labs import free_port

_PORT = 7443


@dataclass(frozen=True)
class Network:
    """How to run a command on each host, and what the addresses of the guide are called here."""

    enter: Mapping[str, list[str]]
    renamed: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def networks(addresses: Mapping[str, str], namespaces: bool) -> Iterator[Network]:
    """Give each host its address. Namespaces are gone when the processes that hold them are.

    Raises OSError if there can be no namespaces.
    """
    if not namespaces:
        local = {address: f"127.0.0.{n}" for n, address in enumerate(addresses.values(), 2)}
        local |= {f":{_PORT}": f":{free_port()}"}
        yield Network({host: [] for host in addresses}, local)
        return
    with ExitStack() as stack:
        bridge = stack.enter_context(_namespace())
        _ip(bridge, "link add name bridge up type bridge")
        enter = {}
        for host, address in addresses.items():
            pid = stack.enter_context(_namespace())
            _ip(bridge, f"link add name {host} master bridge up type veth peer name eth0 netns {pid}")
            _ip(pid, f"address add {address}/24 dev eth0")
            for link in ("lo", "eth0"):
                _ip(pid, f"link set {link} up")
            _ip(pid, "route add default dev eth0")
            enter[host] = ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]
        yield Network(enter)


def namespaces_work() -> bool:
    """Tell whether this process may make network namespaces, and has the tools."""
    if os.geteuid() != 0:
        return False
    try:
        with networks({"probe": "192.0.2.1"}, namespaces=True):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _namespace() -> Iterator[int]:
    """Hold a network namespace by a process that ends with this one."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise OSError("no network namespace")
        try:
            yield holder.pid
        finally:
            holder.stdin.close()


def _ip(pid: int, command: str) -> None:
    """Run ip(8) in a namespace."""
    enter = ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]
    subprocess.run([*enter, "ip", *command.split()], check=True, capture_output=True)
