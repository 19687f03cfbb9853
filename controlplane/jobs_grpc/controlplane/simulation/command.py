"""`python -m jobs_grpc.controlplane simulate`: what the CLI becomes for `simulate`.

Exit codes are the CLI's: 0 done, 1 any other error, 2 wrong usage, 7 a job file is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from jobs_grpc.controlplane.core.state.errors import RefusedError
from jobs_grpc.controlplane.core.state.job import JobSpec
from jobs_grpc.controlplane.leader.specs import spec_of
from jobs_grpc.jobfile import (
    STANDALONE,
    Defaults,
    LoadedJob,
    ProblemsError,
    load_path,
    load_text,
    load_tree,
)
from jobs_grpc.runtime.clock import SystemClock
from jobs_grpc.schedule import (
    RuleError,
    format_duration,
    parse_duration,
    parse_instant,
    parse_schedule,
)

from . import svg, text
from .axis import instant, local
from .outcome import counted, short_name
from .simulation import DEFAULT_LIMIT, run

_DURATION: Final = "1m"
_USAGE, _FILE_INVALID, _OTHER = 2, 7, 1


class _UsageError(Exception):
    """What was asked for makes no sense; the text says why."""


class _Lengths(NamedTuple):
    """How long executions take: the last pattern that matches a job counts."""

    patterns: Sequence[tuple[str, int]]

    def of(self, spec: JobSpec) -> int:
        names = (spec.name, short_name(spec.key), "/".join(spec.key))
        for pattern, length in reversed(self.patterns):
            if any(fnmatchcase(name, pattern) for name in names):
                return length
        return parse_duration(_DURATION)


def simulate(arguments: Sequence[str]) -> int:
    """Simulate what the arguments say; return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        return _simulate(asked)
    except _UsageError as error:
        return _say(f"error: {error}", _USAGE)
    except ProblemsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        count = len(error.problems)
        plural = "" if count == 1 else "s"
        return _say(f"error: {count} problem{plural}", _FILE_INVALID)
    except RefusedError as error:
        return _say(f"error: {error}", _FILE_INVALID)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _say(f"error: {error.filename}: {error.strerror}", _OTHER)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="jobs-grpc simulate",
        description="Run the jobs of files on virtual time, and show what would happen.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add(
        "-f", "--file", dest="files", action="append", required=True,
        metavar="FILE|DIR|-", help="a job file, a folder of them, or - for standard"
        " input; may be repeated",
    )  # fmt: skip
    add("--from", dest="start", metavar="TIME",
        help="where it begins (RFC 3339, or a date in --tz); default: today")  # fmt: skip
    add("--to", dest="end", metavar="TIME",
        help="where it ends, that instant not included; default: a day later")  # fmt: skip
    add("--duration", dest="durations", action="append", default=[],
        metavar="[JOB=]TIME", help="how long an execution takes, of all jobs or of those"
        f" that match JOB (a name, or a pattern with *); default: {_DURATION}")  # fmt: skip
    add("--slots", type=int, default=10, metavar="N",
        help="slots of the fleet; any of them can run any job; default: 10")  # fmt: skip
    add(
        "--tz",
        default="UTC",
        metavar="ZONE",
        help="zone of what is shown; default: UTC",
    )
    add("--svg", metavar="FILE", help="write a picture of it")
    add("--limit", type=int, default=DEFAULT_LIMIT, metavar="N",
        help=f"stop after so many due times; default: {DEFAULT_LIMIT}")  # fmt: skip
    add("--all", dest="show_all", action="store_true",
        help="show every job and every collision")  # fmt: skip
    add("--format", dest="stdin_format", choices=["json", "yaml", "toml"],
        help="what standard input is written in; guessed if left out")  # fmt: skip
    add("-n", "--namespace", default="default", help="whose jobs are meant")
    add("--workspace", default=STANDALONE, help="the workspace of jobs that name none")
    add("-o", "--output", choices=["table", "wide", "json", "yaml", "name"],
        default="table", help="json: everything, for programs")  # fmt: skip
    return made


def _simulate(asked: argparse.Namespace) -> int:
    zone = _zone(asked.tz)
    start, end = _range(asked, zone)
    if asked.slots < 1 or asked.limit < 1:
        raise _UsageError("--slots and --limit must be at least 1")
    jobs = _load(asked)
    specs = [spec_of(job.document) for job in jobs]
    lengths = _lengths(asked.durations, specs)
    if problem := _slots_problem(specs, asked.slots):
        raise _UsageError(problem)
    outcome = run(
        specs,
        start=start,
        end=end,
        slots=asked.slots,
        length=lengths.of,
        limit=asked.limit,
    )
    if asked.svg:
        Path(asked.svg).write_text(svg.render(outcome, zone), encoding="utf-8")
    if asked.output in {"json", "yaml"}:
        print(json.dumps(outcome.to_json(), indent=2))
    elif asked.output == "name":
        for row in outcome.jobs():
            print(row.name)
    else:
        print(text.render(outcome, zone, show_all=asked.show_all), end="")
    _note_guesses(specs, lengths)
    if outcome.stopped_at is not None:
        print(
            f"stopped after {counted(asked.limit, 'due time')} (--limit); what follows is"
            " not shown",
            file=sys.stderr,
        )
    sys.stdout.flush()
    return 0


def _note_guesses(specs: Sequence[JobSpec], lengths: _Lengths) -> None:
    if not lengths.patterns:
        length = format_duration(parse_duration(_DURATION))
        print(
            f"every execution is taken to last {length}; --duration JOB=30m says how long"
            " one really does",
            file=sys.stderr,
        )
    for spec in specs:
        if lengths.of(spec) >= spec.timeout:
            print(
                f"{short_name(spec.key)} lasts {format_duration(lengths.of(spec))}, and"
                f" is ended after its timeout of {format_duration(spec.timeout)}",
                file=sys.stderr,
            )
    selective = sum(bool(spec.selector) for spec in specs)
    if selective:
        have = f"{counted(selective, 'job')} {'has' if selective == 1 else 'have'}"
        print(
            f"{have} a selector, which is left out: any slot runs any job",
            file=sys.stderr,
        )


def _slots_problem(specs: Sequence[JobSpec], slots: int) -> str:
    for spec in specs:
        if spec.slots > slots:
            return (
                f"{short_name(spec.key)} takes {spec.slots} slots, and there are {slots}:"
                " raise --slots"
            )
    return ""


def _load(asked: argparse.Namespace) -> list[LoadedJob]:
    defaults = Defaults(namespace=asked.namespace, workspace=asked.workspace)
    jobs: list[LoadedJob] = []
    for path in asked.files:
        if path == "-":
            content = sys.stdin.buffer.read()
            jobs += load_text(
                content, origin="-", format=asked.stdin_format, defaults=defaults
            )
        elif Path(path).is_dir():
            found, problems = load_tree(path, defaults=defaults)
            if problems:
                raise ProblemsError(problems)
            jobs += found
        else:
            jobs += load_path(path, defaults=defaults)
    seen: dict[tuple[str, str, str], LoadedJob] = {}
    for job in jobs:
        other = seen.setdefault(job.key, job)
        if other is not job:
            raise _UsageError(
                f"{'/'.join(job.key)} in {job.origin} is also in {other.origin}"
            )
    if not jobs:
        raise _UsageError(f"there are no job files in {', '.join(asked.files)}")
    return jobs


def _range(asked: argparse.Namespace, zone: ZoneInfo) -> tuple[int, int]:
    now = SystemClock().now()
    today = local(now, zone).date().isoformat()
    begin = asked.start or today
    start = _moment(begin, zone, "--from")
    end = _moment(asked.end, zone, "--to") if asked.end else _next_day(begin, zone)
    if end <= start:
        raise _UsageError("--to must be later than --from")
    return start, end


def _moment(value: str, zone: ZoneInfo, flag: str) -> int:
    """Return an instant; a date is its midnight in the zone."""
    try:
        if len(value) == 10:
            return instant(_midnight(value, zone))
        return parse_instant(value)
    except (RuleError, ValueError) as error:
        raise _UsageError(f"{flag}: {error}") from None


def _next_day(value: str, zone: ZoneInfo) -> int:
    """Return the same time of the next day, on clocks of which some days have 25 hours.

    A date is counted on before its midnight is sought: where clocks go forward at
    midnight, the day begins at 01:00 and the next one does not.
    """
    is_date = len(value) == 10
    begin = _midnight(value, zone) if is_date else local(parse_instant(value), zone)
    try:
        return instant(begin + timedelta(days=1))
    except OverflowError:
        raise _UsageError(
            f"--from: no day follows {value}; say an earlier one"
        ) from None


def _midnight(date: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(date).replace(tzinfo=zone)


def _zone(name: str) -> ZoneInfo:
    try:
        parse_schedule("every 1d", default_timezone=name)
    except RuleError as error:
        raise _UsageError(f"--tz: {error.message}") from None
    return ZoneInfo(name)


def _lengths(given: Sequence[str], specs: Sequence[JobSpec]) -> _Lengths:
    patterns: list[tuple[str, int]] = []
    for one in given:
        pattern, equals, length = one.rpartition("=")
        pattern = pattern if equals else "*"
        try:
            microseconds = parse_duration(length)
        except RuleError as error:
            raise _UsageError(f"--duration {one}: {error.message}") from None
        if microseconds <= 0:
            raise _UsageError(f"--duration {one}: must be longer than zero")
        patterns.append((pattern, microseconds))
        only = _Lengths([(pattern, microseconds)])
        if not any(_matches(only, spec) for spec in specs):
            raise _UsageError(f"--duration {one}: there is no such job")
    # What is said of all jobs does not override what is said of some.
    patterns.sort(key=lambda entry: entry[0] != "*")
    return _Lengths(patterns)


def _matches(lengths: _Lengths, spec: JobSpec) -> bool:
    names = (spec.name, short_name(spec.key), "/".join(spec.key))
    return any(
        fnmatchcase(name, pattern) for pattern, _ in lengths.patterns for name in names
    )


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code
