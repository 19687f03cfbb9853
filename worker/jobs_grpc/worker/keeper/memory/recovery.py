"""What a new keeper does about the attempts of one that was killed.

A killed keeper leaves jobs that nobody reads, nobody can wait for and nobody will stop,
so they are ended, and their attempts are recorded as `lost`: how the main process would
have ended cannot be known any more.

Only on the same boot is there anything to end. A process is ours if its environment
carries both the name of this root and the marker of a lost attempt, or if it is the noted
main process (same pid *and* same start time), in its session, or below any of these. A pid
alone is never believed: it may be a stranger's by now.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jobs_grpc.worker.keeper.ladder import SWEEP_SECONDS
from jobs_grpc.worker.keeper.memory.journal import read_journal
from jobs_grpc.worker.keeper.processes.family import KEEPER_VARIABLE
from jobs_grpc.worker.keeper.processes.tree import (
    ChildFinder,
    Process,
    deliver,
    environment,
    everyone,
    look,
)
from jobs_grpc.worker.keeper.record import (
    RECORD_FORM,
    ExitRecord,
    Outcome,
    Receipt,
    SignalSent,
    Survivor,
)

# Nobody is served while this goes on; a process that survives is named in the receipt.
PATIENCE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Remembered:
    """What the journal says about one attempt."""

    fence: int
    marker: bytes = b""
    boot_id: str = ""
    pid: int = 0
    start_ticks: int = 0
    started_at_us: int = 0
    record: ExitRecord | None = None


@dataclass(slots=True)
class Sweep:
    """What was done to the processes of lost attempts, by fence."""

    signals: dict[int, list[SignalSent]] = field(default_factory=dict)
    survivors: dict[int, list[Survivor]] = field(default_factory=dict)


def remember(path: Path) -> dict[int, Remembered]:
    """Return every attempt of a journal that was not forgotten."""
    attempts: dict[int, Remembered] = {}
    boot_id = ""
    for fact in read_journal(path):
        match fact:
            case {"fact": "keeper", "boot_id": str(boot_id)}:
                pass
            case {"fact": "starting", "fence": int(fence), "marker": str(marker)}:
                attempts[fence] = Remembered(fence, os.fsencode(marker), boot_id)
            case {
                "fact": "started",
                "fence": int(fence),
                "pid": int(pid),
                "start_ticks": int(start_ticks),
                "started_at_us": int(started_at_us),
            } if fence in attempts:
                attempt = attempts[fence]
                attempt.pid, attempt.start_ticks = pid, start_ticks
                attempt.started_at_us = started_at_us
            case {"fact": "ended", "pid": int(pid), "start_ticks": int(ticks)}:
                record = RECORD_FORM.read(fact["record"])
                attempt = Remembered(record.fence, b"", boot_id, pid, ticks)
                attempt.started_at_us = record.started_at_us or 0
                attempt.record = record
                attempts[record.fence] = attempt
            case {"fact": "forgotten", "fence": int(fence)}:
                attempts.pop(fence, None)
            case _:
                continue
    return attempts


def end_lost(lost: list[Remembered], *, keeper_id: str, boot_id: str) -> Sweep:
    """Kill what is left of lost attempts of this boot; return what was done."""
    sweep = Sweep()
    here = [attempt for attempt in lost if attempt.boot_id == boot_id]
    if not here:
        return sweep
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while found := _find(here, keeper_id):
        if time.monotonic() >= give_up_at:
            for fence, processes in found.items():
                sweep.survivors[fence] = [
                    Survivor(pid=each.pid, name=each.name) for each in processes
                ]
            break
        for fence, processes in found.items():
            count = sum(deliver(each, signal.SIGKILL) for each in processes)
            if count:
                sent = SignalSent(
                    signal="KILL",
                    sent_at_us=time.time_ns() // 1000,
                    processes=count,
                )
                sweep.signals.setdefault(fence, []).append(sent)
        time.sleep(SWEEP_SECONDS)
    return sweep


def lost_record(
    attempt: Remembered, sweep: Sweep, *, boot_id: str, output_bytes: int
) -> ExitRecord:
    """Return the exit record of an attempt whose keeper died."""
    same_boot = attempt.boot_id == boot_id
    return ExitRecord(
        fence=attempt.fence,
        outcome=Outcome.LOST,
        started_at_us=attempt.started_at_us or None,
        finished_at_us=time.time_ns() // 1000,
        output_bytes=output_bytes,
        receipt=Receipt(
            signals=tuple(sweep.signals.get(attempt.fence, ())),
            survivors=tuple(sweep.survivors.get(attempt.fence, ())),
        ),
        error="the keeper was killed" if same_boot else "the host was restarted",
    )


def _find(lost: Iterable[Remembered], keeper_id: str) -> dict[int, list[Process]]:
    """Return the living processes of lost attempts, by fence."""
    badge = f"{KEEPER_VARIABLE}={keeper_id}".encode()
    by_marker = {attempt.marker: attempt.fence for attempt in lost}
    sessions = {attempt.pid: attempt.fence for attempt in lost if _main_lives(attempt)}
    roots: dict[int, list[int]] = {}
    for pid in everyone():
        fence = _owner(pid, badge, by_marker, sessions)
        if fence is not None:
            roots.setdefault(fence, []).append(pid)
    finder = ChildFinder()
    found = {fence: finder.descendants(pids) for fence, pids in roots.items()}
    return {fence: processes for fence, processes in found.items() if processes}


def _owner(
    pid: int, badge: bytes, by_marker: dict[bytes, int], sessions: dict[int, int]
) -> int | None:
    items = environment(pid)
    if badge in items:
        for item in items:
            if item in by_marker:
                return by_marker[item]
    if sessions:
        process = look(pid)
        if process is not None:
            return sessions.get(process.session)
    return None


def _main_lives(attempt: Remembered) -> bool:
    main = look(attempt.pid) if attempt.pid else None
    return main is not None and main.start_ticks == attempt.start_ticks
