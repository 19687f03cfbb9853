"""What a simulation found, as plain records. All instants are microseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs_grpc.controlplane.core.state.job import JobKey
from jobs_grpc.schedule import format_instant

# How many instants are named at which much is due at once.
_BUSIEST: Final = 10


@dataclass(slots=True)
class Simulated:
    """One execution. `started_at` and `finished_at` are absent where the range ended."""

    id: str
    key: JobKey
    queue: str
    due_at: int
    # When it was created: its due time, or later by its jitter.
    ready_at: int
    slots: int = 1
    started_at: int | None = None
    finished_at: int | None = None
    state: str = "pending"

    def waited(self, until: int) -> int:
        """Return how long it waited for its start, within the range."""
        return (until if self.started_at is None else self.started_at) - self.ready_at


@dataclass(frozen=True, slots=True)
class Skipped:
    """A due time that started nothing."""

    key: JobKey
    due_at: int
    reason: str
    holder: str


@dataclass(frozen=True, slots=True)
class Collision:
    """A due time at which an earlier execution of its job was not over."""

    key: JobKey
    due_at: int
    # What the policy of the job made of it: skipped, waited, or beside the other.
    outcome: str
    holder: str


@dataclass(slots=True, kw_only=True)
class Row:
    """What a job, or a queue, did in the whole range. Durations in microseconds."""

    name: str
    queue: str = ""
    due: int = 0
    started: int = 0
    skipped: int = 0
    waited: int = 0
    longest_wait: int = 0
    total_wait: int = 0
    busy: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "queue": self.queue,
            "due": self.due,
            "started": self.started,
            "skipped": self.skipped,
            "waited": self.waited,
            "longest_wait_ms": self.longest_wait // 1_000,
            "total_wait_ms": self.total_wait // 1_000,
            "busy_ms": self.busy // 1_000,
        }


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Everything that happened in [start, end)."""

    start: int
    end: int
    slots: int
    queue_of: Mapping[JobKey, str]
    executions: dict[str, Simulated] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    collisions: list[Collision] = field(default_factory=list)
    # Set where there was more than was asked for: what follows is not known.
    stopped_at: int | None = None

    @property
    def until(self) -> int:
        """Up to when it is known what happened."""
        return self.end if self.stopped_at is None else self.stopped_at

    def jobs(self) -> list[Row]:
        """Return a row for each job, in the order of queues and names."""
        rows = {
            key: Row(name=short_name(key), queue=queue)
            for key, queue in sorted(
                self.queue_of.items(), key=lambda item: (item[1], item[0])
            )
        }
        for one in self.executions.values():
            self._count(rows[one.key], one)
        for skipped in self.skipped:
            rows[skipped.key].due += 1
            rows[skipped.key].skipped += 1
        return list(rows.values())

    def queues(self) -> list[Row]:
        rows = {
            name: Row(name=name, queue=name)
            for name in sorted(set(self.queue_of.values()))
        }
        for one in self.executions.values():
            self._count(rows[one.queue], one)
        for skipped in self.skipped:
            row = rows[self.queue_of[skipped.key]]
            row.due += 1
            row.skipped += 1
        return list(rows.values())

    def _count(self, row: Row, one: Simulated) -> None:
        row.due += 1
        wait = one.waited(self.until)
        row.waited += wait > 0
        row.total_wait += wait
        row.longest_wait = max(row.longest_wait, wait)
        if one.started_at is not None:
            row.started += 1
            end = self.until if one.finished_at is None else one.finished_at
            row.busy += end - one.started_at

    def busiest(self) -> list[tuple[int, int]]:
        """Return the instants at which several jobs are due, and how many, most first."""
        counts = Counter(one.due_at for one in self.executions.values())
        counts.update(one.due_at for one in self.skipped)
        several = [(at, count) for at, count in counts.items() if count > 1]
        return sorted(several, key=lambda one: (-one[1], one[0]))[:_BUSIEST]

    def load(self) -> list[tuple[int, int, int]]:
        """Return (instant, slots in use, executions waiting) whenever one changes."""
        changes: dict[int, tuple[int, int]] = {}

        def change(at: int, used: int, waiting: int) -> None:
            before = changes.get(at, (0, 0))
            changes[at] = (before[0] + used, before[1] + waiting)

        for one in self.executions.values():
            change(one.ready_at, 0, 1)
            if one.started_at is not None:
                change(one.started_at, one.slots, -1)
            if one.finished_at is not None:
                change(
                    one.finished_at,
                    -one.slots if one.started_at is not None else 0,
                    0 if one.started_at is not None else -1,
                )
        found = []
        used = waiting = 0
        for at, (more_used, more_waiting) in sorted(changes.items()):
            used += more_used
            waiting += more_waiting
            found.append((at, used, waiting))
        return found

    def to_json(self) -> dict[str, Any]:
        load = self.load()
        return {
            "from": format_instant(self.start),
            "to": format_instant(self.end),
            "slots": self.slots,
            "stopped_at": _instant(self.stopped_at),
            "most_slots_used": max((used for _, used, _ in load), default=0),
            "most_waiting": max((waiting for _, _, waiting in load), default=0),
            "jobs": [row.to_json() for row in self.jobs()],
            "queues": [row.to_json() for row in self.queues()],
            "busiest": [
                {"due_at": format_instant(at), "due": count}
                for at, count in self.busiest()
            ],
            "collisions": [
                {
                    "job": short_name(one.key),
                    "due_at": format_instant(one.due_at),
                    "outcome": one.outcome,
                    "holder": one.holder,
                }
                for one in self.collisions
            ],
            "executions": list(self._executions_json()),
            "skipped": [
                {
                    "job": short_name(one.key),
                    "due_at": format_instant(one.due_at),
                    "reason": one.reason,
                    "holder": one.holder or None,
                }
                for one in self.skipped
            ],
        }

    def _executions_json(self) -> Iterator[dict[str, Any]]:
        for one in self.executions.values():
            yield {
                "id": one.id,
                "job": short_name(one.key),
                "queue": one.queue,
                "due_at": format_instant(one.due_at),
                "started_at": _instant(one.started_at),
                "finished_at": _instant(one.finished_at),
                "waited_ms": one.waited(self.until) // 1_000,
                "state": one.state,
            }


def short_name(key: JobKey) -> str:
    """Return the name of a job as far as it says something: `ops/shop/backup`."""
    namespace, workspace, name = key
    parts: Sequence[str] = (
        "" if namespace == "default" else namespace,
        "" if workspace == "_standalone_" else workspace,
        name,
    )
    return "/".join(part for part in parts if part)


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 job`, `2 jobs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _instant(at: int | None) -> str | None:
    return None if at is None else format_instant(at)
