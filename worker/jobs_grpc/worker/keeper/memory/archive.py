"""Attempts that have ended and were not forgotten yet: made durable, told, kept.

An end is told to nobody before the journal has it on disk. Who asks meanwhile waits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jobs_grpc.worker.keeper.memory.journal import Journal, ended_fact, keeper_fact
from jobs_grpc.worker.keeper.memory.recovery import (
    Remembered,
    end_lost,
    lost_record,
    remember,
)
from jobs_grpc.worker.keeper.memory.root import Root, remove_directory
from jobs_grpc.worker.keeper.protocol import (
    AttemptStatus,
    Started,
    StartFailed,
    record_json,
)
from jobs_grpc.worker.keeper.record import RECORD_FORM, ExitRecord, Outcome
from jobs_grpc.worker.keeper.spool_reader import (
    SpoolDamagedError,
    SpoolReader,
)


@dataclass(slots=True)
class Ended:
    """One ended attempt; `fact` is its exit record as the journal has it."""

    answer: Started | StartFailed
    fact: bytes
    is_durable: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def record(self) -> ExitRecord:
        """Return the exit record."""
        return RECORD_FORM.read(json.loads(self.fact)["record"])

    def once_durable(self, callback: Callable[[], None]) -> None:
        """Call back when the record is on disk, at once if it is."""
        if self.is_durable:
            callback()
        else:
            self.waiting.append(callback)

    def status(self) -> AttemptStatus:
        """Return what sessions may know."""
        record = self.record()
        answer = self.answer
        return AttemptStatus(
            fence=record.fence,
            state="ended" if self.is_durable else "ending",
            pid=answer.pid if isinstance(answer, Started) else 0,
            start_ticks=answer.start_ticks if isinstance(answer, Started) else 0,
            boot_id=answer.boot_id if isinstance(answer, Started) else "",
            started_at_us=record.started_at_us or 0,
            output_bytes=record.output_bytes,
            record=record if self.is_durable else None,
        )


class Archive:
    """The ended attempts of a root, by fence, and the journal that keeps them."""

    def __init__(
        self,
        root: Root,
        *,
        keeper_id: str,
        boot_id: str,
        tell: Callable[[bytes], None],
        kill_group: Callable[[int], None],
    ) -> None:
        """Read the journal of the last keeper and end what it left behind.

        `kill_group` ends what is in the control group of an attempt, if it has one;
        `tell` gets the JSON of every exit record that becomes durable from now on.
        """
        self._root = root
        self._tell = tell
        remembered = _settle_past(root, keeper_id, boot_id, kill_group)
        self._ended = {fence: _ended(each) for fence, each in remembered.items()}
        self.journal = Journal(
            root.journal,
            head=keeper_fact(boot_id=boot_id, pid=os.getpid()),
            live={fence: [ended.fact] for fence, ended in self._ended.items()},
        )

    @property
    def fences(self) -> list[int]:
        """The ended attempts."""
        return list(self._ended)

    def get(self, fence: int) -> Ended | None:
        """Return an ended attempt."""
        return self._ended.get(fence)

    def conclude(self, answer: Started | StartFailed, record: ExitRecord) -> Ended:
        """Take an attempt that has ended; tell once it is durable."""
        text = record_json(record)
        ended = Ended(answer, _fact(answer, text))
        self._ended[record.fence] = ended
        self.journal.conclude(
            record.fence, ended.fact, lambda: self._become_durable(ended, text)
        )
        return ended

    def forget(self, fence: int) -> bool:
        """Remove an attempt and its directory; False while its end is not durable."""
        ended = self._ended.get(fence)
        if ended is not None and not ended.is_durable:
            return False
        self._ended.pop(fence, None)
        self.journal.forget(fence)
        remove_directory(self._root.attempt(fence))
        return True

    def _become_durable(self, ended: Ended, text: bytes) -> None:
        ended.is_durable = True
        waiting, ended.waiting = ended.waiting, []
        for callback in waiting:
            callback()
        self._tell(text)


def _settle_past(
    root: Root, keeper_id: str, boot_id: str, kill_group: Callable[[int], None]
) -> dict[int, Remembered]:
    """Return what is remembered, with an exit record for every lost attempt."""
    remembered = remember(root.journal)
    lost = [each for each in remembered.values() if each.record is None]
    sweep = end_lost(lost, keeper_id=keeper_id, boot_id=boot_id)
    for attempt in lost:
        # What hides from everything else is in it still.
        kill_group(attempt.fence)
    for attempt in lost:
        attempt.record = lost_record(
            attempt,
            sweep,
            boot_id=boot_id,
            output_bytes=_spooled(root.spool(attempt.fence)),
        )
    return remembered


def _ended(attempt: Remembered) -> Ended:
    record = attempt.record
    assert record is not None, "the past was settled"
    answer: Started | StartFailed
    if record.outcome is Outcome.START_FAILED:
        answer = StartFailed(fence=attempt.fence, error=record.error or "")
    else:
        answer = Started(
            fence=attempt.fence,
            pid=attempt.pid,
            start_ticks=attempt.start_ticks,
            boot_id=attempt.boot_id,
            started_at_us=attempt.started_at_us,
        )
    return Ended(answer, _fact(answer, record_json(record)), is_durable=True)


def _fact(answer: Started | StartFailed, text: bytes) -> bytes:
    if isinstance(answer, Started):
        return ended_fact(text, pid=answer.pid, start_ticks=answer.start_ticks)
    return ended_fact(text, pid=0, start_ticks=0)


def _spooled(path: Path) -> int:
    """Return how many payload bytes a spool has, up to a tear or damage."""
    reader = SpoolReader(path, 1 << 62)
    try:
        reader.read()
    except SpoolDamagedError:
        pass  # its readers will see it too
    finally:
        reader.close()
    return reader.offset
