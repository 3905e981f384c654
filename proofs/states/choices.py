"""What may happen next to two nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TypeAlias

from mandorla_protocol.errors import Code, MandorlaError, RoundError, TransportError

from .loop import Job
from .nodes import NAMES, Call, Node, World

Choice: TypeAlias = tuple[str, Callable[[], None]]


def choices(world: World) -> list[Choice]:
    """List what may happen: what must at some time, and faults while there may be more.

    Time passes when nothing else can happen, or as a fault.
    """
    listed = list(_progress(world))
    timers = [
        (timer.when(), node, timer) for node in world.nodes if not node.dead for timer in node.loop.timers
    ]
    if timers:
        when, node, timer = min(timers, key=lambda one: (one[0], one[1].who))
        passes = f"{when - world.clock.now:.0f} s pass for {NAMES[node.who]}"
        if not listed:
            listed.append((passes, lambda: node.loop.fire(timer)))
        elif world.faults < world.most_faults:
            listed.append((passes, _fault(world, lambda: node.loop.fire(timer))))
    if world.faults < world.most_faults:
        listed += [(name, _fault(world, act)) for name, act in _faults(world)]
    return listed


def take(world: World, choice: int) -> str:
    """Let a choice happen; return its name."""
    name, act = choices(world)[choice]
    act()
    world.settle()
    return name


def _progress(world: World) -> Iterator[Choice]:
    for node in world.nodes:
        if node.dead:
            continue
        name = NAMES[node.who]
        for job in node.loop.jobs:
            shown = f"{job.name} {_shown(job)}".strip()
            if job.done:
                yield f"{name} hears of {shown}", _hear(node, job)
            else:
                yield f"{name} does {shown}", _do(job)
        if node.gate_is_chosen and not node.gate.done():
            yield f"{name}'s half ends", _end_half(node, None)
    for call in world.calls:
        peer = world.nodes[1 - call.caller]
        name = f"{call.what} of {NAMES[call.caller]}"
        if call.handler is None:
            yield f"{name} arrives", _deliver(world, call)
        elif call.handler.done() and not call.future.done() and not call.heard:
            yield f"{name} is answered", _answer(call)
        elif call.future.cancelled() and not call.handler.done() and not peer.dead:
            yield f"{NAMES[peer.who]} hears that {name} is cut off", _cancel(call)


def _faults(world: World) -> Iterator[Choice]:
    for call in world.calls:
        if call.future.done():
            continue
        name = f"{call.what} of {NAMES[call.caller]}"
        if call.handler is None:
            yield f"{name} is lost", _fail(call, Code.PEER_UNAVAILABLE)
        else:
            yield f"the answer to {name} is lost", _fail(call, Code.PEER_UNAVAILABLE)
            if not call.handler.done():
                yield f"{name} meets its deadline", _deadline(call)
    for node in world.nodes:
        name = NAMES[node.who]
        if node.dead:
            continue
        yield f"{name} is killed", _kill(world, node)
        if not node.stopped:
            yield f"{name} stops", _stop(node)
        if node.gate_is_chosen and not node.gate.done():
            yield f"{name}'s half fails", _end_half(node, RoundError(Code.BAD_PROOF))
        if node.who == 0:
            for task in node.loop.tasks():
                if task.get_name() == "operator":
                    yield "the operator hangs up", _hang_up(task)


def _fault(world: World, act: Callable[[], None]) -> Callable[[], None]:
    def happen() -> None:
        world.faults += 1
        act()

    return happen


def _do(job: Job) -> Callable[[], None]:
    def happen() -> None:
        job.done = True
        job.work()

    return happen


def _hear(node: Node, job: Job) -> Callable[[], None]:
    def happen() -> None:
        node.loop.jobs.remove(job)
        job.hear()

    return happen


def _end_half(node: Node, error: MandorlaError | None) -> Callable[[], None]:
    def happen() -> None:
        if error is None:
            node.gate.set_result(None)
        else:
            node.gate.set_exception(error)

    return happen


def _deliver(world: World, call: Call) -> Callable[[], None]:
    def happen() -> None:
        peer = world.nodes[1 - call.caller]
        if peer.dead:
            call.handler = world.nodes[call.caller].spawn(_unknown())
        else:
            call.handler = peer.spawn(call.serve(peer))

    return happen


async def _unknown() -> None:
    """Answer as a node does that was killed and runs again."""
    raise RoundError(Code.UNKNOWN_ROUND)


def _answer(call: Call) -> Callable[[], None]:
    def happen() -> None:
        handler = call.handler
        if handler is None or call.future.done():
            return
        call.heard = True
        if handler.cancelled():
            call.future.set_exception(TransportError(Code.PEER_UNAVAILABLE))
            return
        error = handler.exception()
        if error is None:
            call.future.set_result(handler.result())
        elif isinstance(error, MandorlaError):
            call.future.set_exception(type(error)(error.code))
        else:
            raise error

    return happen


def _fail(call: Call, code: Code) -> Callable[[], None]:
    def happen() -> None:
        call.heard = True
        call.future.set_exception(TransportError(code))

    return happen


def _deadline(call: Call) -> Callable[[], None]:
    def happen() -> None:
        _fail(call, Code.DEADLINE)()
        _cancel(call)()

    return happen


def _cancel(call: Call) -> Callable[[], None]:
    def happen() -> None:
        if call.handler is not None:
            call.handler.cancel()

    return happen


def _kill(world: World, node: Node) -> Callable[[], None]:
    def happen() -> None:
        node.kill()
        for call in world.calls:
            if call.caller == node.who:
                # Its connection is gone, which the peer hears at once or, if it serves it, never.
                call.heard = True
            elif call.handler is not None and not call.future.done():
                _fail(call, Code.PEER_UNAVAILABLE)()

    return happen


def _stop(node: Node) -> Callable[[], None]:
    def happen() -> None:
        node.stopped = True
        node.spawn(node.stop())

    return happen


def _hang_up(task: asyncio.Task[object]) -> Callable[[], None]:
    def happen() -> None:
        task.cancel()

    return happen


def _shown(job: Job) -> str:
    return " ".join(str(argument) for argument in job.arguments if isinstance(argument, Enum))
