"""The rule of a job that depends on others: due when each of them has succeeded.

Like an event it knows no time. The control plane keeps who has succeeded, and decides in
the commit in which the last one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jobs_grpc.schedule.rule import shared, walk


@dataclass(frozen=True, slots=True, weakref_slot=True)
class JoinRule:
    """Due once all of `jobs` have succeeded since it was last due."""

    # Of the dependant's workspace; sorted, each once.
    jobs: tuple[str, ...]

    @property
    def canonical(self) -> str:
        return f"after {', '.join(self.jobs)}"

    @property
    def timezone(self) -> str:
        return "UTC"

    def next_after(self, after: int) -> int | None:
        del after
        return None

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)


def join_rule(jobs: Iterable[str]) -> JoinRule:
    """Return the rule of a job that depends on others; their order means nothing."""
    names = tuple(sorted(set(jobs)))
    return shared(("join", names), lambda: JoinRule(names))
