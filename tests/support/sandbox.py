"""Run a command within the bounds of a unit: `python -m tests.support.sandbox UNIT COMMAND...`.

systemd itself does this as process 1, which tests have none of. The names of its groups of calls come from
`systemd-analyze`, the filter is made by libseccomp, as systemd's is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.units import read_unit

_NO_NEW_PRIVILEGES, _MDWE, _REFUSE_EXEC_GAIN = 38, 65, 1
_NEW_MOUNTS, _FOR_ITSELF = 0x20000, 1 << 14 | 1 << 18
_ALLOW, _REFUSE, _EQUALS = 0x7FFF0000, 0x00050000 | errno.EPERM, 4


class Compare(ctypes.Structure):
    """libseccomp's `scmp_arg_cmp`: a condition on an argument of a call."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("other", ctypes.c_uint64),
    )


def calls_in(group: str) -> set[str]:
    """Return the names of the calls of a group, with those of the groups in it."""
    if not group.startswith("@"):
        return {group}
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    ).stdout
    names = [line.strip() for line in listed.splitlines()[1:] if line.strip() and "#" not in line]
    return set().union(*(calls_in(name) for name in names))


def allowed(filters: list[str]) -> set[str]:
    """Return what a unit's SystemCallFilter= lines leave; the first one is a list of what is allowed."""
    calls = calls_in("@default")
    for line in filters:
        named = set().union(*(calls_in(name) for name in line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def confine(unit: Path) -> None:
    """Give up for this process, and for what it becomes, what the unit's service does without."""
    service = read_unit(unit)["Service"]
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(int(service["UMask"][0], 8))
    hide_processes(libc, service)
    must(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    if service["MemoryDenyWriteExecute"] == ["yes"]:
        # Kernels before 6.3 have no such bound.
        libc.prctl(_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0)
    context = ctypes.c_void_p(seccomp.seccomp_init(_REFUSE))
    for name in allowed(service["SystemCallFilter"]) - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            must(seccomp.seccomp_rule_add(context, _ALLOW, number, 0))
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in service["RestrictAddressFamilies"][0].split():
        condition = Compare(0, _EQUALS, socket.AddressFamily[family], 0)
        must(seccomp.seccomp_rule_add_array(context, _ALLOW, number, 1, ctypes.byref(condition)))
    must(seccomp.seccomp_load(context))


def hide_processes(libc: ctypes.CDLL, service: dict[str, list[str]]) -> None:
    """Have /proc show this process what the unit leaves of it, where whoever runs this may mount."""
    shown = f"hidepid={service['ProtectProc'][0]},subset={service['ProcSubset'][0]}"
    if libc.unshare(_NEW_MOUNTS) == 0:
        must(libc.mount(b"none", b"/", None, _FOR_ITSELF, None))
        libc.mount(b"proc", b"/proc", b"proc", 0, shown.encode())


def must(result: int) -> None:
    """Raise OSError for a call that failed."""
    if result:
        raise OSError(ctypes.get_errno() or -result, "cannot confine this process")


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
