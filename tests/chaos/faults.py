"""What can happen to whom. A fault is done, held, and healed; then its target must work.

Faults come in three lanes that run beside one another, each one after another: the server,
the workers near by, the far worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.history import History, Submitted
from chaos.system import Program, System, link

# A point must be passed within this long, under the load there is.
_HIT_SECONDS: Final = 30.0

SERVER_POINTS: Final = (
    "before-commit",
    "in-commit",
    "after-commit",
    "before-release",
    "after-release",
    "before-send",
)
SESSION_POINTS: Final = (
    "before-begin-note",
    "after-begin-note",
    "before-start-request",
    "after-start-answer",
    "before-result-told",
    "before-ack-taken",
    "after-ack-taken",
)
KEEPER_POINTS: Final = (
    "before-exec",
    "after-exec",
    "before-exit-record",
    "after-exit-record",
)


class MisfireError(Exception):
    """The fault could not be brought about, so it proves nothing."""


Act = Callable[[System, History], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Plan:
    """One fault to come."""

    lane: str
    name: str
    target: str
    act: Act


def plans(system: System, draw: random.Random, *, times: int) -> dict[str, list[Plan]]:
    """Return the faults of each lane, shuffled. Kills come `times` times at each point."""
    lanes: dict[str, list[Plan]] = {"server": [], "near": [], "far": []}

    def add(lane: str, name: str, target: str, act: Act, count: int = 1) -> None:
        lanes[lane] += [Plan(lane, name, target, act)] * count

    add("server", "kill -9", "server", _kill(lambda s: s.server.pid), times)
    for point in SERVER_POINTS:
        add("server", f"kill -9 {point}", "server", _point("server", point), times)
    add("server", "restart", "server", _terminate("server"), 2)
    add("server", "stop 1 s", "server", _pause(lambda s: s.server.pid, 1), 2)
    add("server", "stop 9 s", "server", _pause(lambda s: s.server.pid, 9), 2)
    add("server", "fdatasync fails", "server", _inject("server", "error=EIO"), 2)
    slow = _inject("server", "delay_enter=700000")
    add("server", "fdatasync takes 0.7 s", "server", slow, 1)
    add("server", "disk full", "server", _fill("server-disk"), 2)

    near = ("w1", "w2")
    for number in range(times):
        worker = near[number % 2]
        add("near", "kill -9 session process", worker, _kill_session(worker))
        add("near", "kill -9 keeper", worker, _kill_keeper(worker))
        add("near", "kill -9 job", worker, _kill_job())
        for point in (*SESSION_POINTS, *KEEPER_POINTS):
            what = "keeper" if point in KEEPER_POINTS else "session"
            name = f"kill -9 {what} {point}"
            add("near", name, worker, _point(worker, point))
    for worker in near:
        add("near", "restart", worker, _terminate(worker))
        add("near", "link cut 3 s", worker, _link(worker, "cut", 3))
        add("near", "link stalls 8 s", worker, _link(worker, "stall", 8))
        add("near", "fdatasync fails", worker, _inject(worker, "error=EIO"))
    add("near", "link deaf 8 s", "w1", _link("w1", "deaf", 8))
    add("near", "link slow 8 s", "w2", _link("w2", "slow", 8))
    add("near", "link flaps", "w1", _flap("w1"))
    add("near", "session stopped 11 s", "w2", _pause(lambda s: s.workers["w2"].pid, 11))
    add("near", "session stopped 60 s", "w1", _pause(lambda s: s.workers["w1"].pid, 60))
    add(
        "near", "keeper stopped 3 s", "w2", _pause(lambda s: s.keeper_pid("w2") or 0, 3)
    )
    add("near", "disk full", "w1", _fill("w1-disk"), 2)
    if system.has_far:
        add("far", "cut off 120 s", "w3", _cut_off(120, long_job=True))
        add("far", "cut off 5 s", "w3", _cut_off(5), 4)
    for found in lanes.values():
        draw.shuffle(found)
    return lanes


def _program(system: System, name: str) -> Program:
    return system.server if name == "server" else system.workers[name]


def _kill(pid: Callable[[System], int]) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        _send(pid(system), signal.SIGKILL)
        yield

    return act


def _kill_session(worker: str) -> Act:
    return _kill(lambda system: system.workers[worker].pid)


def _kill_keeper(worker: str) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        _send(system.keeper_pid(worker) or 0, signal.SIGKILL)
        yield

    return act


def _kill_job() -> Act:
    """Kill the main process of whatever runs, as an out-of-memory killer would."""

    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        deadline = time.monotonic() + _HIT_SECONDS
        while time.monotonic() < deadline:
            if _kill_any_job(system, history):
                break
            await asyncio.sleep(0.05)
        else:
            raise MisfireError("no job ran that could have been killed")
        yield

    return act


def _kill_any_job(system: System, history: History) -> bool:
    live: dict[int, tuple[str, int]] = {}
    for line in system.witness.read_text().splitlines():
        event, execution, _, fence, who, _ = line.split()
        if event == "start":
            live[int(who)] = (execution, int(fence))
        else:
            live.pop(int(who), None)
    workers = {one.pid for one in system.workers.values()}
    spared = {one.id for one in history.submitted if one.must_succeed}
    for pid, attempt in live.items():
        is_job = pid not in workers and Path(f"/proc/{pid}").exists()
        is_job = is_job and attempt[0] not in spared
        if is_job and b"work.sh" in Path(f"/proc/{pid}/cmdline").read_bytes():
            # Noted first: it may end by itself in this very moment, which is no fault.
            history.killed.add(attempt)
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def _send(pid: int, number: signal.Signals) -> None:
    if not pid:
        raise MisfireError("there was no such process")
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise MisfireError("the process had ended") from None


def _point(name: str, point: str) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        armed = _program(system, name).points / point
        armed.touch()
        deadline = time.monotonic() + _HIT_SECONDS
        while armed.exists():
            if time.monotonic() > deadline:
                armed.unlink(missing_ok=True)
                raise MisfireError(f"nothing came by {point} of {name}")
            await asyncio.sleep(0.02)
        yield

    return act


def _terminate(name: str) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        _send(_program(system, name).pid, signal.SIGTERM)
        yield

    return act


def _pause(pid: Callable[[System], int], seconds: float) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        stopped = pid(system)
        _send(stopped, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stopped, signal.SIGCONT)
        yield

    return act


def _link(worker: str, mode: str, seconds: float) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        system.relays[worker].set(mode)
        try:
            await asyncio.sleep(seconds)
        finally:
            system.relays[worker].set("pass")
        yield

    return act


def _flap(worker: str) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        relay = system.relays[worker]
        for _ in range(4):
            relay.set("cut")
            await asyncio.sleep(1)
            relay.set("pass")
            await asyncio.sleep(1)
        yield

    return act


def _cut_off(seconds: float, *, long_job: bool = False) -> Act:
    """Cut the far worker off; with `long_job`, while it runs one that outlasts the cut."""

    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        if long_job:
            await _begin_long_job(system, history, "w3", seconds * 1.5)
        link("down")
        try:
            await asyncio.sleep(seconds)
        finally:
            link("up")
        yield

    return act


async def _begin_long_job(
    system: System, history: History, worker: str, seconds: float
) -> None:
    lines = round(seconds / 0.1)
    params = {"lines": lines, "code": 0}
    async with await system.connect() as client:
        handle = await client.jobs.run(f"long-{worker}", params=params)
        history.submitted.append(
            Submitted(
                id=handle.id,
                job=f"long-{worker}",
                at=time.time(),
                lines=lines,
                code=0,
                may_run_twice=False,
                must_succeed=True,
            )
        )
        async with asyncio.timeout(_HIT_SECONDS):
            while f"start {handle.id}" not in system.witness.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.1)


def _inject(name: str, what: str, seconds: float = 3.0) -> Act:
    """Let every fdatasync and fsync of a process fail, or take long."""

    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        calls = "fdatasync,fsync"
        strace = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}"),
            *("-e", f"inject={calls}:{what}"),
            *("-p", str(_program(system, name).pid)),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(seconds)
        if strace.returncode is not None and strace.returncode > 0:
            raise MisfireError("strace could not attach")
        with contextlib.suppress(ProcessLookupError):
            strace.terminate()
        await strace.wait()
        yield

    return act


def _fill(disk: str, seconds: float = 4.0) -> Act:
    @asynccontextmanager
    async def act(system: System, history: History) -> AsyncIterator[None]:
        place = system.root / disk
        if not place.is_mount():
            raise MisfireError(f"{disk} is no disk of its own here")
        ballast = place / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(1 << 20)):
                    pass
                while file.write(bytes(512)):
                    pass
            await asyncio.sleep(seconds)
        finally:
            ballast.unlink(missing_ok=True)
        yield

    return act
