"""What all kinds of schedule rules have in common: they name due times.

Instants are integer microseconds since the epoch, UTC. Rules are immutable, equal when
they mean the same, and shared: the control plane groups a million schedules by the few
distinct rules they have.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakValueDictionary

# A caller that gives no limit wants all; one that gets this many asked by mistake.
_UNLIMITED: Final = 1_000_000


class Rule(Protocol):
    """A set of due times, in order. Hashable, and equal to rules of the same meaning."""

    @property
    def canonical(self) -> str:
        """The one text of this meaning, for example `cron 30 2 * * 1-6`."""
        ...

    @property
    def timezone(self) -> str:
        """The IANA zone of the due times; `UTC` where none matters."""
        ...

    def next_after(self, after: int) -> int | None:
        """Return the first due time strictly later than `after`; None if none is left.

        A cron rule looks 50 years ahead, in the years 1900 to 9900.
        """
        ...

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        """Yield the due times of (start, end], at most `limit` of them, in order.

        Lazily: a long range costs what is taken from it. Without a limit the millionth
        due time is followed by an `OverflowError`, never by a silent end.
        """
        ...


R = TypeVar("R", bound=Rule)
_shared: Final[WeakValueDictionary[tuple[object, ...], Any]] = WeakValueDictionary()


def shared(key: tuple[object, ...], make: Callable[[], R]) -> R:
    """Return the one object of a meaning, made if nobody holds it.

    Objects stay shared as long as anyone holds one; nobody has to bound this cache.
    """
    kept: R | None = _shared.get(key)
    # setdefault, for another thread may have been faster.
    return kept if kept is not None else _shared.setdefault(key, make())


def walk(rule: Rule, start: int, end: int, limit: int | None) -> Iterator[int]:
    """Yield the due times of (start, end], as `Rule.between` promises."""
    most = _UNLIMITED if limit is None else limit
    due = rule.next_after(start) if most > 0 else None
    taken = 0
    while due is not None and due <= end:
        if taken == _UNLIMITED and limit is None:
            raise OverflowError(f"more than {_UNLIMITED} due times: give a limit")
        yield due
        taken += 1
        if taken == most and limit is not None:
            return
        due = rule.next_after(due)


def next_times(rules: Sequence[Rule], after: int, count: int) -> list[int]:
    """Return the first `count` due times of any of the rules, later than `after`.

    Two rules that name one instant name it once. Shorter where the rules run out.
    """
    heap = [
        (due, index)
        for index, rule in enumerate(rules)
        if (due := rule.next_after(after)) is not None
    ]
    heapq.heapify(heap)
    times: list[int] = []
    while heap and len(times) < count:
        due, index = heap[0]
        if not times or times[-1] != due:
            times.append(due)
        following = rules[index].next_after(due)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following, index))
    return times
