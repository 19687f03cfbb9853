"""Jobs whose ends start others: who causes whom, and how a circle of them is told.

The control plane judges what is applied, job files are judged without one; both ask here
what an edge is, so that they mean the same circles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from jobs_grpc.schedule.event import EventRule
from jobs_grpc.schedule.join import JoinRule
from jobs_grpc.schedule.rule import Rule

# Namespace, workspace, name.
Key: TypeAlias = tuple[str, str, str]

WAY_OUT: Final = "take one of their event schedules, or of their depends_on, away"
"""What to do about a circle."""

# Of a longer way only its two ends are told.
_SHOWN: Final = 12


def causes_of(listener: Key, rule: Rule) -> tuple[Key, ...]:
    """Return the jobs whose ends a rule of a job waits for; none if it has times."""
    namespace, workspace, _ = listener
    if isinstance(rule, JoinRule):
        return tuple((namespace, workspace, job) for job in rule.jobs)
    if not isinstance(rule, EventRule):
        return ()
    return ((namespace, rule.workspace or workspace, rule.job),)


def circle_text(way: Sequence[Key]) -> str:
    """Return what is wrong with a way that ends where it begins, each causing the next."""
    start = way[0]
    names = [key[2] if key[:2] == start[:2] else f"{key[1]}/{key[2]}" for key in way]
    if len(names) > _SHOWN:
        more = len(names) - _SHOWN
        names[_SHOWN // 2 : -_SHOWN // 2] = [f"({more} more)"]
    return f"jobs would cause each other in a circle: {' -> '.join(names)}"
