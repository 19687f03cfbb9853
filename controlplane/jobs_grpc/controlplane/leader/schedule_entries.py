"""Entries of schedules that the API makes: read, completed, merged.

An entry is one object of the job file's `schedule` key. It is kept with its name and its
time zone, so that it means the same whatever becomes of the job's document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.job import JobKey, ScheduleSpec
from jobs_grpc.jobfile import JobDocument
from jobs_grpc.jobfile.parameter import parameter_values
from jobs_grpc.jobfile.part.timing import mentioned
from jobs_grpc.schedule import RuleError

from .specs import schedule_of

_LARGEST: Final = 64 * 1024
# What says when: a patch with one of them brings a rule of its own.
_KINDS: Final = ("cron", "every", "at", "run_at", "daily", "weekly", "monthly", "on")
_BELONGS: Final[Mapping[str, tuple[str, ...]]] = {
    "every": ("anchor", "from"),
    "daily": ("time", "calendar"),
    "weekly": ("time", "calendar"),
    "monthly": ("time", "calendar", "short_months"),
}


def read_entry(text: str, *, field: str) -> dict[str, Any]:
    """Return the object that a request carries as JSON."""
    if len(text) > _LARGEST:
        raise InvalidError(f"{field} is larger than 64 KiB", field=field)
    try:
        entry = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise InvalidError(f"{field} is no JSON", field=field) from None
    if not isinstance(entry, dict):
        raise InvalidError(f"{field} must be an object", field=field)
    return entry


def made(
    document: JobDocument, name: str, entry: Mapping[str, Any]
) -> tuple[ScheduleSpec, str]:
    """Return the schedule that an entry means for a job, and the entry as it is kept."""
    if not name:
        raise InvalidError("a schedule needs a name", field="name")
    if entry.get("name", name) != name:
        raise InvalidError(
            f'the schedule is called "{name}" and cannot be renamed',
            hint="delete it and create another one",
            field="name",
        )
    whole = {**entry, "name": name}
    if document.timezone != "UTC" and "on" not in entry:
        whole.setdefault("timezone", document.timezone)
    if calendars := mentioned(document.calendars, list(entry.values())):
        whole["calendars"] = {**calendars, **entry.get("calendars", {})}
    if whole.get("timezone") == "UTC":
        del whole["timezone"]
    key: JobKey = (document.namespace, document.workspace, document.name)
    try:
        spec = schedule_of(key, whole)
    except RuleError as error:
        raise _refused(error) from None
    _, faults = parameter_values(document.params, spec.params)
    for param, fault in faults.items():
        raise InvalidError(
            f'the parameter "{param}" of the schedule {fault}', field=f"params.{param}"
        )
    return spec, json.dumps(whole, separators=(",", ":"), ensure_ascii=False)


def merged(entry: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with the patch's keys in place of its own; `None` takes one away.

    A patch that says when by another kind of rule replaces the old rule, whole. Params
    are merged one by one.
    """
    whole = dict(entry)
    if any(patch.get(kind) is not None for kind in _KINDS):
        for kind in _KINDS:
            if kind in whole and patch.get(kind) is None:
                for key in (kind, *_BELONGS.get(kind, ())):
                    whole.pop(key, None)
        if "on" in patch:
            # An event has no clock.
            whole.pop("timezone", None)
            whole.pop("dst", None)
    for key, value in patch.items():
        if value is None:
            whole.pop(key, None)
        elif isinstance(value, dict) and isinstance(whole.get(key), dict):
            whole[key] = _replaced(whole[key], value)
        else:
            whole[key] = value
    return whole


def _replaced(whole: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    both = {**whole, **patch}
    return {key: value for key, value in both.items() if value is not None}


def _refused(error: RuleError) -> InvalidError:
    message = error.message
    if error.position is not None and error.text:
        message += f"\n  {error.text}\n  {' ' * error.position}^"
    return InvalidError(message, field=error.field or "")
