"""A folder of job files.

One broken file never keeps the others from loading: a folder is watched by a server,
and a slip in one job must not stop the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from jobs_grpc.jobfile.problem import Problem, ProblemsError
from jobs_grpc.jobfile.reading.loading import (
    SUFFIXES,
    Defaults,
    LoadedJob,
    load_path,
    repeated_names,
)


def load_tree(
    path: str | Path,
    *,
    recursive: bool = True,
    defaults: Defaults = Defaults(),  # noqa: B008 - frozen
) -> tuple[list[LoadedJob], list[Problem]]:
    """Return the jobs of a folder in the order of their paths, and what is wrong.

    Files are known by their suffixes; hidden files and folders and all other files are
    passed over. Of two jobs with the same name the one that comes first is returned, and
    the other is a problem that names both places.
    """
    root = Path(path)
    if not root.is_dir():
        message = (
            "is not a directory" if root.exists() else "there is no such directory"
        )
        return [], [Problem(str(root), None, None, "", message)]
    jobs: list[LoadedJob] = []
    problems: list[Problem] = []
    for file in job_files(root, recursive=recursive, problems=problems):
        try:
            jobs += load_path(file, defaults=defaults)
        except ProblemsError as error:
            problems += error.problems
    jobs, repeated = repeated_names(jobs)
    return jobs, problems + repeated


def job_files(
    root: Path, *, recursive: bool, problems: list[Problem]
) -> Iterator[Path]:
    """Yield the job files of a folder in the order of their paths.

    A folder that cannot be listed is added to `problems`. Links to files are followed,
    links to folders are not: they may lead in circles.
    """
    try:
        with os.scandir(root) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        reason = error.strerror or str(error)
        problems.append(Problem(str(root), None, None, "", f"cannot be read: {reason}"))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if recursive:
                yield from job_files(
                    root / entry.name, recursive=True, problems=problems
                )
        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
            yield root / entry.name
