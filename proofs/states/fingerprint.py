"""What of two nodes tells one state from another: coroutines are told apart by where they are in their code.

A task's stack is each function, the instruction at which it waits, and its plain local variables. Whenever
two runs are taken for one state, `close_claims` compares what each lab holds and what may happen next, and
stops if that differs; what comes later is not compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import CoroutineType

from google.protobuf.message import Message

from .nodes import HEADER, Call, Node, World


def fingerprint(world: World) -> tuple[object, ...]:
    """Return all that the future depends on: flags, disks, calls, threads, timers and every task's stack."""
    return (
        world.faults,
        tuple(_of_node(world, node) for node in world.nodes),
        tuple(
            (call.caller, call.what, call.heard, call.future.done(), call.future.cancelled(), _served(call))
            for call in world.calls
        ),
    )


def _served(call: Call) -> str:
    """Say how far a call is served, and with what."""
    if call.handler is None or not call.handler.done():
        return "waits" if call.handler is None else "runs"
    if call.handler.cancelled():
        return "cancelled"
    return _plain(call.handler.exception() or call.handler.result())


def _of_node(world: World, node: Node) -> tuple[object, ...]:
    disk = (node.records.state, tuple(node.records.log), node.signed, node.compared_aborted)
    if node.dead:
        return ("dead", *(_plain(one) for one in disk))
    active = node.active
    flags = (
        active.commit_signed, active.abort_signed, active.ended.is_set(), active.state, active.end_code,
        active._holder.stated, active._holder.closed, active._holder.chunks, active.half.state,
        active.comparison is None, active.ending is None, node.gate.done(), node.stopped,
        HEADER.round_id in node.rounds.open,
    )  # fmt: skip
    jobs = tuple((job.name, _plain(job.arguments), job.done) for job in node.loop.jobs)
    timers = tuple(sorted(timer.when() - world.clock.now for timer in node.loop.timers))
    stacks = tuple(sorted(repr(_stack(task)) for task in node.loop.tasks()))
    return (*(_plain(one) for one in (*disk, *flags)), jobs, timers, stacks)


def _stack(task: asyncio.Task[object]) -> list[object]:
    stack: list[object] = [task.cancelling()]
    awaited: object = task.get_coro()
    while isinstance(awaited, CoroutineType) and awaited.cr_frame is not None:
        frame = awaited.cr_frame
        plain = sorted((name, _plain(value)) for name, value in frame.f_locals.items())
        stack.append((frame.f_code.co_qualname, frame.f_lasti, plain))
        awaited = awaited.cr_await
    return stack


def _plain(value: object) -> str:
    """Show a value by what it holds; what holds more than plain values, by its type."""
    match value:
        case None | bool() | int() | str() | bytes() | Enum():
            return repr(value)
        case BaseException():
            return repr(getattr(value, "code", type(value)))
        case Message():
            return repr(value.SerializeToString())
        case tuple() | list():
            return f"[{', '.join(_plain(one) for one in value)}]"
        case set() | frozenset():
            return f"[{', '.join(sorted(_plain(one) for one in value))}]"
        case Mapping():
            return f"[{', '.join(f'{_plain(key)}: {_plain(one)}' for key, one in value.items())}]"
        case _ if is_dataclass(value) and type(value).__module__.startswith(("mandorla_protocol", "states.")):
            shown = ", ".join(_plain(getattr(value, one.name)) for one in fields(value))
            return f"{type(value).__name__}[{shown}]"
        case _:
            return type(value).__name__
