"""What job files say together, and what of them is over: more than one document knows.

No document is wrong by itself here, so none of this belongs to the model: a stored job
stays readable whatever its neighbors are, and whatever the time is. Asked where files
are checked before a server sees them; it refuses the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jobs_grpc.jobfile.problem import Problem
from jobs_grpc.jobfile.reading.loading import LoadedJob
from jobs_grpc.schedule import (
    AfterEndRule,
    AtRule,
    EventRule,
    JoinRule,
    ParsedSchedule,
    causes_of,
    circle_text,
    join_rule,
)
from jobs_grpc.schedule.circle import WAY_OUT

_Key = tuple[str, str, str]
_NEXT_STEP = "give it a later time, or remove it"


def circles(jobs: Sequence[LoadedJob]) -> list[Problem]:
    """Return a problem for each circle in which jobs would cause each other.

    Of the ways through jobs that are not among these, nothing is known.
    """
    by_key = {job.key: job for job in jobs}
    found = []
    done: set[_Key] = set()
    for start in by_key:
        for way in _circles_from(start, by_key, done):
            job = by_key[way[0]]
            message = f"{circle_text(way)}; {WAY_OUT}"
            # What is told is the edge that closes the circle: the last one.
            loc = next(loc for loc, key in _causes(job) if key == way[-2])
            found.append(job.problem(loc, message))
    return found


def over(jobs: Sequence[LoadedJob], now: int) -> list[Problem]:
    """Return a problem for each schedule that has no due time after now."""
    return [
        job.problem(("schedule", index, *loc), f"{why}; {_NEXT_STEP}")
        for job in jobs
        for index, schedule in enumerate(job.document.schedules)
        if not isinstance(schedule.rule, AfterEndRule | EventRule | JoinRule)
        and schedule.rule.next_after(now) is None
        for loc, why in (_why_over(schedule),)
    ]


def _why_over(schedule: ParsedSchedule) -> tuple[tuple[str, ...], str]:
    """Return the key that ends a schedule, if one does, and what is wrong with it."""
    written = schedule.source
    keys = ("at", "run_at") if isinstance(schedule.rule, AtRule) else ("end",)
    if isinstance(written, Mapping):
        for key in keys:
            if key in written:
                why = (
                    "leaves no due time after now" if key == "end" else "is in the past"
                )
                return (key,), why
    return (), "has no due time after now"


def _circles_from(
    start: _Key, by_key: Mapping[_Key, LoadedJob], done: set[_Key]
) -> Iterator[tuple[_Key, ...]]:
    """Yield the circles that are met on the way back from a job to its causes.

    Each job is gone through once, for there may be ten thousand of them.
    """
    if start in done:
        return
    path = {start: _causes(by_key[start])}
    while path:
        here = next(reversed(path))
        for _, cause in path[here]:
            if cause in path:
                keys = list(path)
                yield (cause, *reversed(keys[keys.index(cause) :]))
            elif cause in by_key and cause not in done:
                path[cause] = _causes(by_key[cause])
                break
        else:
            done.add(here)
            del path[here]


def _causes(job: LoadedJob) -> Iterator[tuple[tuple[str | int, ...], _Key]]:
    """Yield the jobs that a job waits for, each with where that is said."""
    for index, schedule in enumerate(job.document.schedules):
        for key in causes_of(job.key, schedule.rule):
            yield ("schedule", index), key
    for key in causes_of(job.key, join_rule(job.document.dependencies)):
        yield ("depends_on",), key
