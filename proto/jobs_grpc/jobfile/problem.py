"""What is wrong with a job file, and where.

A problem is said in one line that names the place, the key and the fault, so that an
editor can jump to it and a person knows what to write instead. All problems of a file
are reported together; nobody should have to repair a file one error at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault; prints as `file:line:column: field: what is wrong`.

    Lines and columns count from 1, columns in characters. What is not known is empty or
    None, and left out when printed.
    """

    file: str
    line: int | None
    column: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        if self.line is not None:
            place.append(str(self.line))
            if self.column is not None:
                place.append(str(self.column))
        parts = [":".join(place), self.field, self.message]
        return ": ".join(part for part in parts if part)


class ProblemsError(Exception):
    """A job file, or parameters given to a job, cannot be used; `problems` says why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_reading_order))
        super().__init__("\n".join(map(str, self.problems)))


def _reading_order(problem: Problem) -> tuple[str, int, int]:
    # What is about a text as a whole comes after what is at a place of it.
    return (problem.file, problem.line or sys.maxsize, problem.column or 0)
