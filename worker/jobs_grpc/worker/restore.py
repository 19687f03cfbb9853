"""What an earlier process of this worker left behind, put together again.

Two witnesses are heard: the keeper, which knows every process attempt that was not
forgotten, and the journal, which knows what has begun and how functions ended.

=================  ===================================================================
journal            what the attempt is now
=================  ===================================================================
began, a function  lost: it ran inside the process that is gone
began, a process   what the keeper says; where the keeper does not know it, it was
                   never begun (the keeper notes a start before it makes one), unless
                   the host was restarted meanwhile, which may have cost a note: lost
ended              finished, to be told to the leader
acknowledged       recent, kept for a while, with its output if that is not settled
=================  ===================================================================

A process that the keeper knows and the journal does not (the host went down before the
journal's note was on disk) is held without its names; the leader knows them by the fence.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jobs_grpc.worker.attempts.attempt import Attempt, Ticket
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.functions.run import WORKER_ENDED
from jobs_grpc.worker.journal.entries import Memory, Recollection
from jobs_grpc.worker.keeper.protocol import AttemptStatus
from jobs_grpc.worker.processes.result import result_of
from jobs_grpc.worker.shipping import spool_size
from jobs_grpc.worker.work import Outcome, Result


@dataclass(slots=True)
class Restored:
    """The attempts of the past."""

    # Under the keeper still.
    running: list[tuple[Attempt, AttemptStatus]] = field(default_factory=list)
    # Ended; their results are on disk.
    ended: list[Attempt] = field(default_factory=list)
    # The leader has these, since the instant given.
    acknowledged: list[tuple[Attempt, int]] = field(default_factory=list)
    # Ended with the process that is gone; their results are not on disk yet.
    cut_short: list[Attempt] = field(default_factory=list)

    def __iter__(self) -> Iterator[Attempt]:
        yield from (attempt for attempt, _ in self.running)
        yield from self.ended
        yield from (attempt for attempt, _ in self.acknowledged)
        yield from self.cut_short


def restore(
    statuses: Iterable[AttemptStatus],
    recollection: Recollection,
    *,
    boot_id: str,
    now: int,
    function_spool: Callable[[int], Path],
) -> Restored:
    """Return everything that this worker still holds."""
    restored = Restored()
    memories = dict(recollection.attempts)
    for status in statuses:
        memory = memories.pop(status.fence, None) or Memory(
            Ticket(status.fence, "", 0, "", "", "", False), status.started_at_us
        )
        _from_keeper(restored, status, memory)
    for memory in memories.values():
        if memory.result is None:
            memory.result = _cut_short(memory, boot_id, now, function_spool)
            restored.cut_short.append(_finished(memory))
        else:
            _file_ended(restored, memory)
    return restored


def _from_keeper(restored: Restored, status: AttemptStatus, memory: Memory) -> None:
    if status.record is not None:
        memory.result = result_of(status.record)
        _file_ended(restored, memory)
        return
    attempt = Attempt(memory.ticket)
    attempt.state = State.RUNNING
    attempt.started_at = status.started_at_us
    attempt.place = memory.place
    attempt.pid = status.pid
    restored.running.append((attempt, status))


def _file_ended(restored: Restored, memory: Memory) -> None:
    attempt = _finished(memory)
    attempt.is_sendable = True
    if memory.acknowledged_at is not None:
        restored.acknowledged.append((attempt, memory.acknowledged_at))
    else:
        restored.ended.append(attempt)


def _finished(memory: Memory) -> Attempt:
    attempt = Attempt(memory.ticket)
    attempt.state = State.FINISHED
    attempt.started_at = memory.started_at
    attempt.place = memory.place
    attempt.result = memory.result
    return attempt


def _cut_short(
    memory: Memory, boot_id: str, now: int, function_spool: Callable[[int], Path]
) -> Result:
    if memory.ticket.is_function:
        size = spool_size(function_spool(memory.ticket.fence))
        return Result(
            Outcome.LOST, memory.started_at, now, error=WORKER_ENDED, output_bytes=size
        )
    if memory.boot_id == boot_id:
        words = "the worker program ended before the process was started"
        return Result(Outcome.NOT_STARTED, 0, now, error=words)
    words = "the host was restarted, and nothing is known of the process"
    return Result(Outcome.LOST, memory.started_at, now, error=words)


def remove_strays(directory: Path, is_known: Callable[[int], bool]) -> None:
    """Remove the directories of attempts that nobody holds any more."""
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if path.name.isdigit() and not is_known(int(path.name)):
            shutil.rmtree(path, ignore_errors=True)
