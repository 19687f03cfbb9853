"""Job files named on the command line, read and checked all together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jobs_grpc.client.cli.failures import InvalidFiles
from jobs_grpc.client.cli.options import Settings

if TYPE_CHECKING:
    from jobs_grpc.jobfile import Defaults, LoadedJob, Problem

NOTHING_CHANGED = "nothing was changed"


def load_sources(
    settings: Settings,
    paths: Sequence[str],
    stdin_format: str | None,
    *,
    now: int | None = None,
) -> list[LoadedJob]:
    """Return the jobs of every file and folder, or raise every problem of all of them.

    With `now` that includes schedules that are over. A server refuses them, too, unless
    it has had them before, so only who cannot ask one refuses them here.
    """
    from jobs_grpc.jobfile import STANDALONE, Defaults, circles, over

    defaults = Defaults(
        namespace=settings.namespace, workspace=settings.workspace or STANDALONE
    )
    jobs: list[LoadedJob] = []
    problems: list[Problem] = []
    for path in paths:
        found, wrong = _load(path, defaults, stdin_format)
        jobs += found
        problems += wrong
    problems += _doubled(jobs)
    problems += circles(jobs)
    if now is not None:
        problems += over(jobs, now)
    if not jobs and not problems:
        problems.append(_problem(", ".join(paths), "there are no job files here"))
    if problems:
        raise InvalidFiles(problems, outcome=NOTHING_CHANGED)
    return jobs


def _load(
    path: str, defaults: Defaults, stdin_format: str | None
) -> tuple[list[LoadedJob], Sequence[Problem]]:
    from jobs_grpc.jobfile import ProblemsError, load_path, load_text, load_tree

    try:
        if path == "-":
            text = sys.stdin.buffer.read()
            # click has checked that it is one of the formats.
            format_ = cast("Any", stdin_format)
            jobs = load_text(text, origin="-", format=format_, defaults=defaults)
            return jobs, ()
        if Path(path).is_dir():
            return load_tree(path, defaults=defaults)
        return load_path(path, defaults=defaults), ()
    except ProblemsError as error:
        return [], error.problems


def _doubled(jobs: Sequence[LoadedJob]) -> list[Problem]:
    """Return a problem for each job that two of the sources define."""
    problems = []
    first: dict[tuple[str, str, str], LoadedJob] = {}
    for job in jobs:
        other = first.setdefault(job.key, job)
        if other is not job:
            message = f"{'/'.join(job.key)} is defined already in {other.origin}"
            problems.append(_problem(job.origin, message, job.line))
    return problems


def _problem(file: str, message: str, line: int | None = None) -> Problem:
    from jobs_grpc.jobfile import Problem

    return Problem(file, line, None, "", message)
