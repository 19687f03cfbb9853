"""A plan for people: what would change, and what that does to the next due times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import click

from jobs_grpc.client.cli.display.moments import clock_text
from jobs_grpc.client.cli.display.table import colored_state
from jobs_grpc.client.records.plan import DueTimeChange, JobPlan, Plan

# What a line has room for; JSON has all of it.
_LONGEST: Final = 60
_NAMED: Final = 5
_DUE_TIMES: Final = 10
_MARKS: Final = {DueTimeChange.ADDED: "+", DueTimeChange.REMOVED: "-"}


def show_plan(plan: Plan, *, wide: bool) -> None:
    """Print what each job would be; `wide` names every due time that comes or goes."""
    for job in plan.jobs:
        path = f"{job.namespace}/{job.workspace}/{job.name}"
        word = job.outcome
        click.echo(f"{colored_state(word)}{' ' * (12 - len(word))}{path}")
        if not job.changes_something:
            continue
        for line in _lines(job, plan.workers_connected, wide=wide):
            click.echo(f"  {line}")


def _lines(job: JobPlan, connected: int, *, wide: bool) -> Iterator[str]:
    for one in job.changes:
        before, after = _short(one.before_json), _short(one.after_json)
        if not one.before_json:
            yield f"+ {one.key}: {after}"
        elif not one.after_json:
            yield f"- {one.key}: {before}"
        else:
            yield f"~ {one.key}: {before} -> {after}"
    yield from _due_times(job, wide=wide)
    for change in job.clock_changes:
        way = "forward" if change.shift > timedelta() else "back"
        minutes = round(abs(change.shift).total_seconds() / 60)
        yield (
            f"clocks of {change.timezone} go {way} {minutes}m at {clock_text(change.at)}"
        )
    yield from _collisions(job)
    workers = ", ".join(job.workers[:_NAMED])
    more = len(job.workers) - _NAMED
    workers += f" and {more} more" if more > 0 else ""
    yield f"workers now: {len(job.workers)} of {connected}{workers and f' ({workers})'}"


def _due_times(job: JobPlan, *, wide: bool) -> Iterator[str]:
    if job.follows_ends:
        yield "due times: those that follow the end of a run are not known"
    if not job.due_times:
        if not job.follows_ends:
            yield "due times: none"
        return
    last = clock_text(job.due_times[-1].due_at)
    counts = Counter(one.change for one in job.due_times)
    yield (
        f"due times until {last}: {counts[DueTimeChange.ADDED]} come,"
        f" {counts[DueTimeChange.REMOVED]} go, {counts[DueTimeChange.KEPT]} stay"
    )
    told = [one for one in job.due_times if one.change in _MARKS or one.blackout]
    shown = told if wide else told[:_DUE_TIMES]
    for one in shown:
        blackout = f"  blackout: {one.blackout}" if one.blackout else ""
        mark = _MARKS.get(one.change, " ")
        yield f"  {mark} {clock_text(one.due_at)}{blackout}"
    if len(shown) < len(told):
        yield f"  ... and {len(told) - len(shown)} more (-o wide names them)"


def _collisions(job: JobPlan) -> Iterator[str]:
    if job.expected_duration is None:
        yield "collisions: unknown, for no run has succeeded that tells how long one lasts"
        return
    runs = f"{job.measured} run{'' if job.measured == 1 else 's'}"
    basis = f"a run lasts {_length(job.expected_duration)} by the last {runs}"
    if not job.collisions:
        yield f"collisions: none ({basis})"
        return
    times = ", ".join(clock_text(at) for at in job.collisions[:_NAMED])
    more = len(job.collisions) - _NAMED
    times += f" and {more} more" if more > 0 else ""
    yield f"collisions: {len(job.collisions)}, overlap {job.overlap} ({basis}): {times}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _length(duration: timedelta) -> str:
    """Return a length, in milliseconds below ten seconds and in seconds above."""
    from jobs_grpc.schedule import format_duration

    grain = 1_000 if duration < timedelta(seconds=10) else 1_000_000
    return format_duration(duration // timedelta(microseconds=grain) * grain)
