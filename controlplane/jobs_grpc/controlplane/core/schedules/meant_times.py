"""What a person means by a time: an instant, or a time of a schedule's own zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.schedule import ClockRule, RuleError, WindowRule, parse_instant
from jobs_grpc.schedule.zone import Change, find_zone

_SECOND: Final = 1_000_000
_DAY: Final = 86_400
# Where schedules look for due times: the years 1900 to 9900.
_EARLIEST: Final = -2_208_988_800
_LATEST: Final = 250_250_774_400
_LOCAL: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a text means in the zone of a schedule: no instant in a gap, two in an overlap."""

    schedule: Schedule
    instants: tuple[int, ...]
    gap: Change | None = None
    # The time asked for, in local seconds, where it is one that clocks leap over.
    label: int = 0

    @property
    def to_look_up(self) -> tuple[int, ...]:
        return (self.gap.at * _SECOND,) if self.gap is not None else self.instants

    @property
    def is_moved(self) -> bool:
        """Whether the schedule is due at the end of the gap because of this very time.

        That it is due then is not enough: the time may be another of the gap, or an
        ordinary one.
        """
        rule = self.schedule.spec.rule
        clock = rule.base if isinstance(rule, WindowRule) else rule
        return (
            self.gap is not None
            and isinstance(clock, ClockRule)
            and clock.moves(self.label, self.gap)
            and rule.next_after(self.gap.at * _SECOND - 1) == self.gap.at * _SECOND
        )


def ask(job: Job, text: str) -> tuple[Meant, ...]:
    """Return what a text means for each schedule of a job.

    An instant of RFC 3339, or a local time without an offset, which is that of the
    schedule's zone.
    """
    return tuple(_meant(schedule, text.strip()) for schedule in job.schedules.values())


def _meant(schedule: Schedule, text: str) -> Meant:
    shape = _LOCAL.fullmatch(text)
    if shape is None:
        return Meant(schedule, (_read(text),))
    local = _read(f"{shape[1]}T{shape[2]}{shape[3] or ':00'}Z") // _SECOND
    zone = find_zone(schedule.spec.rule.timezone)
    offsets = {zone.offset(local - 2 * _DAY), zone.offset(local + 2 * _DAY)}
    change = zone.first_change(local - 2 * _DAY, local + 2 * _DAY)
    if change is not None:
        offsets |= {change.before, change.after}
    instants = sorted(
        local - offset for offset in offsets if zone.offset(local - offset) == offset
    )
    if not instants:
        assert change is not None
        return Meant(schedule, (), change, local)
    return Meant(schedule, tuple(one * _SECOND for one in instants))


def _read(text: str) -> int:
    try:
        instant = parse_instant(text)
        # Beyond, zones and dates have no arithmetic.
        if not _EARLIEST <= instant // _SECOND < _LATEST:
            raise RuleError(f"a due time lies in the years 1900 to 9900, got {text}")
    except RuleError as error:
        raise InvalidError(
            str(error),
            hint="write 2027-01-15T10:00:00Z, or 2027-01-15T10:00 for the time of the"
            " schedule's own zone",
            field="at",
        ) from None
    return instant
