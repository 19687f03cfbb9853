"""Judges a history. Pure: what it says depends on the records only.

The names of the invariants are used in tables and documents:

=============  =====================================================================
unique         a due time has one decision, and starts one execution
complete       every due time has its decision
window         a start is late only where a fault explains it
at-most-once   an execution that must not run twice was started once at most
at-least-once  an execution that may run twice was completed
verdict        the state told is the end that was witnessed, and stays
durable        what was acknowledged is there
output         the bytes stored are the bytes printed
overlap        jobs that must not overlap did not
fencing        the result that counts is that of the highest fence
orphans        no process outlives its attempt
liveness       in the end everything has ended
extra          nothing ran that nobody asked for
=============  =====================================================================
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from chaos.history import History, Told, Witnessed

FINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled", "lost", "skipped"})
# A start may be this late with no fault near; the machine is busy.
LATE_SECONDS = 3.0
# A fault may explain lateness until this long after it was healed: reconnects, and the
# session time of a worker that did not come back.
RECOVERY_SECONDS = 45.0
# The youngest due times may still be under way at the last look.
UNSETTLED_SECONDS = 5.0


class Violation(NamedTuple):
    """A broken promise, and who broke it."""

    invariant: str
    sentence: str


def judge(history: History) -> list[Violation]:
    """Return every violation; none is what a release needs."""
    return [
        *_decisions(history),
        *_starts(history),
        *_ends(history),
        *_durability(history),
        *_outputs(history),
        *_overlaps(history),
        *(Violation("orphans", f"still alive: {one}") for one in history.leftovers),
    ]


def expected_lines(execution: str, fence: int, lines: int) -> str:
    """Return what the load's command prints."""
    return "".join(f"{execution} {fence} line {n}\n" for n in range(lines))


def _decisions(history: History) -> Iterator[Violation]:
    by_job: dict[str, Counter[int]] = defaultdict(Counter)
    ranges: dict[str, list[tuple[float, float]]] = defaultdict(list)
    started: Counter[tuple[str, int]] = Counter()
    for one in history.decided:
        if one.until is not None:
            ranges[one.job].append((one.due_at, one.until))
            continue
        due = round(one.due_at)
        by_job[one.job][due] += 1
        started[(one.job, due)] += one.outcome == "started"
    for (job, due), count in started.items():
        if count > 1:
            yield Violation("unique", f"{job} at {due} was started {count} times")
    for ticking in history.ticking:
        first = math.ceil((ticking.since + 1) / ticking.every) * ticking.every
        last = history.ended - UNSETTLED_SECONDS
        found = by_job[ticking.job]
        for due in range(first, math.floor(last), ticking.every):
            covered = any(a <= due <= b for a, b in ranges[ticking.job])
            if not found[due] and not covered:
                yield Violation("complete", f"{ticking.job} at {due}: no decision")
            if found[due] > 1:
                yield Violation("unique", f"{ticking.job} at {due}: {found[due]} rows")
    scheduled = Counter(
        (one.job, round(one.scheduled_for))
        for one in history.told
        if one.trigger == "schedule"
    )
    for (job, due), count in scheduled.items():
        if count > 1:
            yield Violation("unique", f"{job} at {due}: {count} executions")


def _starts(history: History) -> Iterator[Violation]:
    told = {one.id: one for one in history.told}
    twice = {one.id: one.may_run_twice for one in history.submitted}
    # Of a submission that nobody answered, only the job is known.
    of_job = {one.job: one.may_run_twice for one in history.submitted}
    starts: dict[str, list[Witnessed]] = defaultdict(list)
    for seen in history.witnessed:
        if seen.event == "start":
            starts[seen.execution].append(seen)
    for id_, found in starts.items():
        one = told.get(id_)
        if one is None:
            yield Violation("extra", f"{id_} ran, and the API does not know it")
            continue
        fences = [seen.fence for seen in found]
        if len(fences) > 1 and not twice.get(id_, of_job.get(one.job, False)):
            yield Violation("at-most-once", f"{id_} was started with fences {fences}")
        if len(set(fences)) != len(fences):
            yield Violation("at-most-once", f"{id_}: one fence started twice: {fences}")
        if max(fences) > one.fence:
            yield Violation(
                "fencing",
                f"{id_} ended by fence {one.fence}, {max(fences)} was started",
            )
        late = min(seen.at for seen in found) - one.scheduled_for
        if (
            one.trigger == "schedule"
            and late > LATE_SECONDS
            and not _explained(history, one.scheduled_for, one.scheduled_for + late)
        ):
            yield Violation("window", f"{id_} of {one.job} began {late:.1f} s late")


def _explained(history: History, begin: float, end: float) -> bool:
    return any(
        fault.began < end and begin < fault.healed + RECOVERY_SECONDS
        for fault in history.faults
    )


def _ends(history: History) -> Iterator[Violation]:
    submitted = {one.id: one for one in history.submitted}
    ends = {
        (seen.execution, seen.fence)
        for seen in history.witnessed
        if seen.event == "end"
    }
    for one in history.told:
        if one.state not in FINAL:
            yield Violation("liveness", f"{one.id} of {one.job} is still {one.state}")
            continue
        before = history.told_before.get(one.id, "")
        if before in FINAL and before != "lost" and before != one.state:
            yield Violation("verdict", f"{one.id} was {before}, and is {one.state}")
        known = submitted.get(one.id)
        # Nobody was told of it, so nobody knows which code it was to end with.
        code = 0 if known is None else known.code
        if known is None and one.trigger == "api":
            code = one.exit_code or 0
        has_ended = (one.id, one.fence) in ends
        yield from _end(history, one, code=code, has_ended=has_ended)
        # A cancel ends the will to run it again, whatever became of it.
        is_wanted = one.id not in history.cancelled
        was_killed = (one.id, one.fence) in history.killed
        if known is None or not is_wanted:
            continue
        if known.may_run_twice and one.state == "lost":
            yield Violation("at-least-once", f"{one.id} of {one.job} is lost")
        if known.must_succeed and not was_killed and one.state != "succeeded":
            yield Violation("at-least-once", f"{one.id} of {one.job} is {one.state}")


def _end(
    history: History, one: Told, *, code: int, has_ended: bool
) -> Iterator[Violation]:
    was_killed = (one.id, one.fence) in history.killed
    if one.state == "succeeded" and (not has_ended or code != 0):
        yield Violation("verdict", f"{one.id} succeeded, which nobody witnessed")
    elif one.state == "failed":
        by_itself = has_ended and code != 0 and one.exit_code == code
        if not by_itself and not (was_killed and one.signal):
            yield Violation(
                "verdict",
                f"{one.id} failed ({one.exit_code} {one.signal}), expected {code},"
                f" ended: {has_ended}",
            )
    elif one.state == "cancelled" and one.id not in history.cancelled:
        yield Violation("verdict", f"{one.id} was cancelled, by nobody")
    elif one.state == "lost" and not _explained(
        history, one.scheduled_for, one.finished_at or history.ended
    ):
        yield Violation("verdict", f"{one.id} is lost without a reason")
    elif one.state in {"timed_out", "skipped"}:
        yield Violation("verdict", f"{one.id} is {one.state}, which is not possible")


def _durability(history: History) -> Iterator[Violation]:
    told = {one.id for one in history.told}
    asked = {one.id for one in history.submitted}
    for id_ in sorted(asked - told):
        yield Violation("durable", f"{id_} was acknowledged, and is not there")
    extra = [one.id for one in history.told if one.trigger == "api"]
    unknown = [id_ for id_ in extra if id_ not in asked]
    if len(unknown) > history.unanswered:
        yield Violation("extra", f"{len(unknown)} executions that nobody submitted")


def _outputs(history: History) -> Iterator[Violation]:
    lines = {one.id: one.lines for one in history.submitted}
    for one in history.told:
        if one.output is None or one.id not in lines:
            continue
        expected = expected_lines(one.id, one.fence, lines[one.id])
        is_whole = one.state in {"succeeded", "failed"} and not (
            (one.id, one.fence) in history.killed or one.dropped
        )
        if is_whole and one.output != expected:
            yield Violation(
                "output",
                f"{one.id}: {len(one.output)} of {len(expected)} bytes, or others",
            )
        elif not is_whole and not one.dropped and not expected.startswith(one.output):
            yield Violation("output", f"{one.id}: stored bytes were never printed")


def _overlaps(history: History) -> Iterator[Violation]:
    told = {one.id: one for one in history.told}
    ticking = {one.job for one in history.ticking}
    ends = {
        (seen.execution, seen.fence): seen.at
        for seen in history.witnessed
        if seen.event == "end"
    }
    spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for seen in history.witnessed:
        one = told.get(seen.execution)
        if seen.event != "start" or one is None or one.job not in ticking:
            continue
        # Without a witnessed end it was killed; when, only the faults know.
        end = ends.get((seen.execution, seen.fence), seen.at)
        spans[one.job].append((seen.at, end, one.id))
    for job, found in spans.items():
        found.sort()
        for (_, end, first), (start, _, second) in itertools.pairwise(found):
            if start < end:
                yield Violation(
                    "overlap", f"{job}: {second} began before {first} ended"
                )
