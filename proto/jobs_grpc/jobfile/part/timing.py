"""The schedules and the time zone of a job.

The user's text is kept as written; `jobs_grpc.schedule` says what it means. A schedule
that spreads its due times (`H`) draws them from the full name of the job, so equal jobs
in two workspaces do not start together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown
from jobs_grpc.schedule import (
    Calendar,
    ParsedSchedule,
    RuleError,
    parse_schedule,
    read_calendars,
)

# Explaining a wrong one takes milliseconds, and nobody can read a hundred.
MOST_SCHEDULES: Final = 100

Entry: TypeAlias = str | Mapping[str, Any]
# Made once: a table of a million entries is read with it.
_SPELLINGS: Final = (str, dict, Mapping)


def _entries(value: object) -> tuple[Entry, ...]:
    """Read one schedule or a list of them."""
    listed = value if isinstance(value, list | tuple) else (value,)
    if len(listed) > MOST_SCHEDULES:
        raise complain(f"must be at most {MOST_SCHEDULES} schedules, got {len(listed)}")
    found = [
        Complaint(
            (index,) if listed is value else (),
            f"must be text or an object, got {shown(entry)}",
        )
        for index, entry in enumerate(listed)
        if not isinstance(entry, str | dict)
    ]
    if found:
        raise complaints(found)
    return tuple(listed)


def _zone(name: str) -> str:
    if (fault := zone_fault(name)) is not None:
        raise complain(fault)
    return name


def zone_fault(name: object) -> str | None:
    """Return why `name` is not a time zone, or None if it is one."""
    if not isinstance(name, str):
        return "must be text"
    try:
        # The zone does not matter to an interval, and is checked all the same.
        parse_schedule("every 1d", default_timezone=name)
    except RuleError as error:
        return error.message
    return None


def _calendars(value: object) -> dict[str, tuple[str, ...]]:
    """Read named calendars; kept as the texts of their days."""
    try:
        read_calendars(value)
    except RuleError as error:
        raise complaints(
            [Complaint((error.field,) if error.field else (), error.message)]
        ) from None
    assert isinstance(value, Mapping)  # else it was refused
    return {
        name: tuple(
            str(day).strip()
            for day in (days if isinstance(days, list | tuple) else [days])
        )
        for name, days in sorted(value.items())
    }


def mentioned(calendars: Mapping[str, object], schedule: object) -> dict[str, object]:
    """Return the calendars that a schedule, as it was written, may speak of."""
    words: set[str] = set()
    found = [schedule]
    while found:
        value = found.pop()
        if isinstance(value, str):
            words.add(value)
        elif isinstance(value, Mapping):
            found += value.values()
        elif isinstance(value, list | tuple):
            found += value
    return {name: days for name, days in calendars.items() if name in words}


def calendars_of(value: object) -> Mapping[str, Calendar] | None:
    """Return named calendars; None if they are wrong, which is reported elsewhere."""
    try:
        return read_calendars(value)
    except RuleError:
        return None


def parse_entries(
    schedule: object,
    *,
    timezone: str,
    seed: str,
    calendars: Mapping[str, Calendar] | None = None,
) -> tuple[tuple[ParsedSchedule, ...], list[Complaint]]:
    """Return what the schedules mean, and what is wrong with them.

    The paths of the complaints begin at the `schedule` key as the user wrote it: one
    schedule may stand without a list.
    """
    parsed = []
    found = []
    listed = schedule if isinstance(schedule, list | tuple) else (schedule,)
    for index, entry in enumerate(listed[:MOST_SCHEDULES]):
        if not isinstance(entry, _SPELLINGS):
            continue  # its shape is refused elsewhere
        try:
            parsed.append(
                parse_schedule(
                    entry, default_timezone=timezone, seed=seed, calendars=calendars
                )
            )
        except RuleError as error:
            loc = entry_path(schedule, index)
            if isinstance(entry, Mapping) and error.field:
                loc = (*loc, error.field)
            found.append(Complaint(loc, str(error), error.position))
    return tuple(parsed), found


def repeated_schedules(parsed: Sequence[ParsedSchedule]) -> list[int]:
    """Return which schedules have the name of an earlier one."""
    names: set[str] = set()
    repeated = []
    for index, schedule in enumerate(parsed):
        if schedule.name in names:
            repeated.append(index)
        elif schedule.name is not None:
            names.add(schedule.name)
    return repeated


def as_written(parsed: Sequence[ParsedSchedule]) -> tuple[Entry, ...]:
    """Return the schedules as a document keeps them."""
    return tuple([one.source for one in parsed])


def entry_path(schedule: object, index: int) -> tuple[int | str, ...]:
    """Return the path of a schedule: one may stand without a list."""
    if isinstance(schedule, list | tuple):
        return ("schedule", index)
    return ("schedule",)


def _several(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "array", "items": schema}]}


_ENTRY_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "examples": ["30 2 * * 1-6", "every 30m", "@daily"]},
        {
            "type": "object",
            "properties": {
                "cron": {
                    "type": "string",
                    "description": "A cron expression of five or six fields, or @daily.",
                },
                "every": {
                    "type": ["string", "number"],
                    "description": "A fixed period: 90s, 30m, 2h.",
                },
                "anchor": {
                    "type": "string",
                    "description": "With every: an instant that the periods count from.",
                },
                "from": {
                    "const": "end",
                    "description": (
                        "With every: the period counts from the end of the last run."
                    ),
                },
                "at": {
                    "type": "string",
                    "description": "One instant: 2027-01-15T10:00:00Z.",
                },
                "run_at": {"type": "string", "description": "The same as at."},
                "on": {
                    "type": "object",
                    "properties": {
                        "event": {
                            "enum": ["job.succeeded", "job.failed", "job.finished"],
                            "description": "How it has ended.",
                        },
                        "job": {
                            "type": "string",
                            "description": "Of the same workspace, or workspace/job.",
                        },
                    },
                    "required": ["event", "job"],
                    "additionalProperties": False,
                    "description": "An event: another job's execution has ended.",
                },
                "daily": {
                    **_several({"type": ["string", "boolean"]}),
                    "description": "true, business-days, or the times of day.",
                },
                "weekly": {
                    **_several({"type": ["string", "integer"]}),
                    "description": "Days of the week: mon, or [mon, fri].",
                },
                "monthly": {
                    **_several({"type": ["string", "integer"]}),
                    "description": (
                        "Days of the month: 1 to 31, last-day, first-monday, "
                        "last-friday, last-business-day."
                    ),
                },
                "time": {
                    **_several({"type": "string"}),
                    "description": (
                        'With daily, weekly, monthly: "18:00", or several. '
                        'Default: "00:00".'
                    ),
                },
                "short_months": {
                    "enum": ["skip", "last-day"],
                    "description": (
                        "With monthly: what a month without the day does. Default: skip."
                    ),
                },
                "calendar": {
                    "type": "string",
                    "description": "The calendar whose days are no business days.",
                },
                "name": {
                    "type": "string",
                    "description": "What to call the schedule; unique in the job.",
                },
                "timezone": {
                    "type": "string",
                    "description": "Where the clock of the schedule hangs.",
                },
                "dst": {
                    "enum": ["debian", "skip", "first", "last", "both"],
                    "description": "What to do when clocks change. Default: debian.",
                },
                "start": {
                    "type": "string",
                    "description": "No due time before this instant or day.",
                },
                "end": {
                    "type": "string",
                    "description": "No due time at or after this instant or day.",
                },
                "exclude": {
                    **_several({"type": ["string", "object"]}),
                    "description": (
                        "What is no due time: cron expressions, days, ranges of days, "
                        "{calendar: NAME}."
                    ),
                },
                "blackout": {
                    **_several({"type": "string"}),
                    "description": (
                        "Calendars on whose days due times are skipped, with a record."
                    ),
                },
                "jitter": {
                    "type": ["string", "number"],
                    "description": "The longest delay of a start; a hash draws it.",
                },
                "max_runs": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "How many runs the schedule may start in all.",
                },
                "params": {
                    "type": "object",
                    "description": "Parameters of the runs that this schedule starts.",
                },
                "enabled": {
                    "type": "boolean",
                    "description": "false: the schedule starts nothing. Default: true.",
                },
                "disabled_reason": {
                    "type": "string",
                    "description": "Why it is disabled; for people.",
                },
                "disabled_until": {
                    "type": "string",
                    "description": "It starts nothing before this instant.",
                },
            },
        },
    ]
}

Schedules = Annotated[
    tuple[Entry, ...],
    PlainValidator(_entries),
    WithJsonSchema(
        {
            "anyOf": [
                *_ENTRY_SCHEMA["anyOf"],
                {"type": "array", "items": _ENTRY_SCHEMA},
            ]
        }
    ),
]
Zone = Annotated[str, AfterValidator(_zone)]
Calendars = Annotated[
    dict[str, tuple[str, ...]],
    PlainValidator(_calendars),
    WithJsonSchema(
        {"type": "object", "additionalProperties": _several({"type": "string"})}
    ),
]
