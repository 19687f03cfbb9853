"""A rule between two instants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jobs_grpc.schedule.error import RuleError
from jobs_grpc.schedule.instant import format_instant
from jobs_grpc.schedule.rule import Rule, shared, walk


@dataclass(frozen=True, slots=True, weakref_slot=True)
class WindowRule:
    """The due times of `base` in [start, end); None is unbounded."""

    base: Rule
    start: int | None
    end: int | None

    @property
    def canonical(self) -> str:
        start = "" if self.start is None else f" start {format_instant(self.start)}"
        end = "" if self.end is None else f" end {format_instant(self.end)}"
        return f"{self.base.canonical}{start}{end}"

    @property
    def timezone(self) -> str:
        return self.base.timezone

    def next_after(self, after: int) -> int | None:
        if self.start is not None:
            after = max(after, self.start - 1)
        due = self.base.next_after(after)
        if due is None or (self.end is not None and due >= self.end):
            return None
        return due

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)


def window_rule(base: Rule, start: int | None, end: int | None) -> Rule:
    """Return the due times of a rule in the half-open range; `base` if it has no ends.

    A range that is empty is a `RuleError`.
    """
    if start is None and end is None:
        return base
    if start is not None and end is not None and end <= start:
        raise RuleError(
            f"end must be after start, got {format_instant(end)} and"
            f" {format_instant(start)}",
            field="end",
        )
    return shared(("window", base, start, end), lambda: WindowRule(base, start, end))
