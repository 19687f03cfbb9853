"""What a person means by a time: an instant, or a time of a schedule's own zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.schedule import RuleError, parse_instant
from jobs_grpc.schedule.zone import Change, find_zone

_SECOND: Final = 1_000_000
_DAY: Final = 86_400
_LOCAL: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a text means in the zone of a schedule: no instant in a gap, two in an overlap."""

    schedule: Schedule
    instants: tuple[int, ...]
    gap: Change | None = None

    @property
    def to_look_up(self) -> tuple[int, ...]:
        return (self.gap.at * _SECOND,) if self.gap is not None else self.instants


def ask(job: Job, text: str) -> tuple[Meant, ...]:
    """Return what a text means for each schedule of a job.

    An instant of RFC 3339, or a local time without an offset, which is that of the
    schedule's zone.
    """
    return tuple(_meant(schedule, text.strip()) for schedule in job.schedules.values())


def _meant(schedule: Schedule, text: str) -> Meant:
    shape = _LOCAL.fullmatch(text)
    try:
        if shape is None:
            return Meant(schedule, (parse_instant(text),))
        local = parse_instant(f"{shape[1]}T{shape[2]}{shape[3] or ':00'}Z") // _SECOND
    except RuleError as error:
        raise InvalidError(
            str(error),
            hint="write 2027-01-15T10:00:00Z, or 2027-01-15T10:00 for the time of the"
            " schedule's own zone",
            field="at",
        ) from None
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
        return Meant(schedule, (), change)
    return Meant(schedule, tuple(one * _SECOND for one in instants))
