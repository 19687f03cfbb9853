"""Labels of a wall clock, laid on the real time of a zone.

Between two changes of a zone's offset, local time runs evenly: a label is due at the
label minus the offset. What happens at a change is Debian's rule (cron(8)), for changes
of less than three hours:

| | clocks go forward: labels in the gap | clocks go back: labels that come twice |
|---|---|---|
| fixed times | due once, at the end of the gap | due the first time |
| wildcards | not due | due both times |

A wildcard schedule is a cron expression whose second, minute or hour begins with a star.
Larger changes are corrections of the clock (Pacific/Apia skipped 2011-12-30): labels in
the gap are not due, labels that come twice are due twice, for every schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

from jobs_grpc.schedule.duration import SECOND
from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted
from jobs_grpc.schedule.labels import LabelSource
from jobs_grpc.schedule.rule import shared, walk
from jobs_grpc.schedule.zone import Change, Zone

Dst = Literal["debian", "skip", "first", "last", "both"]

_CORRECTION: Final = 3 * 3_600
# Years 1900 and 9900: inside, all arithmetic of datetime and cronsim is safe.
_EARLIEST: Final = -2_208_988_800
_LATEST: Final = 250_250_774_400
# Rules whose labels all fall into gaps must end their search, as cronsim does.
_HORIZON: Final = 50 * 366 * 86_400


class _Policy(NamedTuple):
    """Which labels are due at a change: those of a gap, each pass of an overlap."""

    gap: bool
    first_pass: bool
    second_pass: bool


_REAL_TIME: Final = _Policy(gap=False, first_pass=True, second_pass=True)
_POLICIES: Final = {
    "debian": _Policy(gap=True, first_pass=True, second_pass=False),
    "skip": _Policy(gap=False, first_pass=True, second_pass=False),
    "first": _Policy(gap=True, first_pass=True, second_pass=False),
    "last": _Policy(gap=True, first_pass=False, second_pass=True),
    "both": _Policy(gap=True, first_pass=True, second_pass=True),
}


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class ClockRule:
    """Labels in a zone; get it from `cron_rule` or `calendar_rule`."""

    canonical: str
    timezone: str
    dst: str
    _labels: LabelSource = field(compare=False, repr=False)
    _zone: Zone = field(compare=False, repr=False)
    _policy: _Policy = field(compare=False, repr=False)

    def next_after(self, after: int) -> int | None:
        second = max(after // SECOND, _EARLIEST)
        if second >= _LATEST:
            return None
        found = self._next_second(second)
        return None if found is None else found * SECOND

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)

    def moves(self, label: int, change: Change) -> bool:
        """Say whether a label that falls into the gap of a change is due at its end."""
        return self._policy_at(change).gap and self._labels.first_from(label) == label

    def _next_second(self, second: int) -> int | None:
        """Return the first due second after `second`.

        Goes from one change of the zone to the next. In each stretch the labels in
        [floor, ceiling) are due at label - offset; what lies beyond the ceiling is
        looked for after the change.
        """
        horizon = second + _HORIZON
        offset = self._zone.offset(second)
        label_floor = second + offset + 1
        last = self._zone.first_change(second - _CORRECTION, second)
        if last is not None:
            label_floor = max(label_floor, self._floor(last))
        while second < horizon:
            label = self._labels.first_from(label_floor)
            if label is None:
                return None
            due = label - offset
            change = self._zone.first_change(second, due + _CORRECTION)
            if change is None or label < self._ceiling(change):
                return due
            if self._is_due_after_gap(change):
                return change.at
            second, offset = change.at, change.after
            label_floor = self._floor(change)
        return None

    def _policy_at(self, change: Change) -> _Policy:
        return self._policy if abs(change.shift) < _CORRECTION else _REAL_TIME

    def _floor(self, change: Change) -> int:
        """Return the first label that is due after a change."""
        if change.shift < 0 and not self._policy_at(change).second_pass:
            return change.at + change.before
        return change.at + change.after

    def _ceiling(self, change: Change) -> int:
        """Return the first label that is not due before a change."""
        if change.shift < 0 and not self._policy_at(change).first_pass:
            return change.at + change.after
        return change.at + change.before

    def _is_due_after_gap(self, change: Change) -> bool:
        """Say whether the gap of a change swallows labels that are due at its end."""
        if change.shift < 0 or not self._policy_at(change).gap:
            return False
        label = self._labels.first_from(change.at + change.before)
        return label is not None and label < change.at + change.after


def clock_rule(
    canonical: str,
    labels: LabelSource,
    zone: Zone,
    dst: str,
    *,
    real_time: bool = False,
) -> ClockRule:
    """Return the rule of labels in a zone; `canonical` must say all about the labels.

    `real_time`: under `debian`, clocks that change neither add nor drop due times.
    """
    policy = _REAL_TIME if dst == "debian" and real_time else _POLICIES[dst]
    # Kept by its meaning and not by its parts: those are made anew with every reading.
    return shared(
        ("clock", canonical, zone.name, dst),
        lambda: ClockRule(
            canonical=canonical,
            timezone=zone.name,
            dst=dst,
            _labels=labels,
            _zone=zone,
            _policy=policy,
        ),
    )


def check_dst(dst: str) -> None:
    """Refuse what is not one of the `Dst` words."""
    if dst not in _POLICIES:
        choices = ", ".join(get_args(Dst))
        hint = did_you_mean(dst, _POLICIES)
        raise RuleError(
            f"dst must be one of {choices}, got {quoted(dst)}{hint}", field="dst"
        )
