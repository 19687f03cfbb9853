"""systemd timers with their services (systemd.timer(5), systemd.service(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from jobs_grpc.client.importing.draft import (
    Draft,
    Imported,
    Kind,
    Note,
    Options,
    is_reserved,
    timezone_note,
)
from jobs_grpc.client.importing.naming import Names, slug
from jobs_grpc.client.importing.systemd_calendar import CalendarError, read_calendar
from jobs_grpc.client.importing.systemd_command import (
    CommandError,
    Line,
    command_of,
    read_line,
)
from jobs_grpc.client.importing.systemd_units import Unit, microseconds, words
from jobs_grpc.schedule import RuleError, format_duration, format_instant
from jobs_grpc.schedule.instant import from_datetime

_SPECIFIER: Final = re.compile(r"%([A-Za-z%])")
_TIMER_KEYS: Final = frozenset(
    ["OnCalendar", "OnUnitActiveSec", "OnUnitInactiveSec", "OnBootSec", "OnStartupSec",
     "OnActiveSec", "Persistent", "RandomizedDelaySec", "AccuracySec", "Unit",
     "RemainAfterElapse", "FixedRandomDelay", "WakeSystem"]
)  # fmt: skip
_SERVICE_KEYS: Final = frozenset(
    ["Type", "ExecStart", "ExecStartPre", "ExecStartPost", "Environment", "User",
     "Group", "WorkingDirectory", "TimeoutStartSec", "TimeoutSec", "RuntimeMaxSec",
     "TimeoutStopSec", "KillSignal", "EnvironmentFile", "Restart", "RestartSec"]
)  # fmt: skip
# A persistent timer makes up for a run however long the host was off.
_PERSISTENT_WINDOW: Final = "365d"


def import_units(
    files: Mapping[str, str],
    *,
    origin: str,
    options: Options,
    names: Names,
    only: str = "",
) -> Imported:
    """Return the jobs of all timers among `files`, or of the timer `only`.

    `files` are texts by their path below the unit directory: `backup.timer`,
    `backup.service`, drop-ins as `backup.timer.d/override.conf`.
    """
    found = Imported()
    timers = sorted(name for name in files if name.endswith(".timer"))
    for name in timers:
        if only and name != only:
            continue
        place = f"{origin}/{name}" if origin else name
        found.extend([_Timer(files, name, place, options, names).imported()])
    if not timers:
        note = Note(origin, Kind.REFUSED, "timer", "there is no .timer here")
        found.notes.append(note)
    return found


def _unit(files: Mapping[str, str], name: str) -> Unit | None:
    """Return a unit with its drop-ins, in systemd's order; instances have a template."""
    template = re.sub(r"@[^.]*\.", "@.", name)
    source = name if name in files else template
    if source not in files:
        return None
    unit = Unit(name)
    unit.read(files[source])
    drop_ins = {
        path.rpartition("/")[2]: path
        for owner in dict.fromkeys((template, name))
        for path in files
        if path.startswith(f"{owner}.d/") and path.endswith(".conf")
    }
    for key in sorted(drop_ins):
        unit.read(files[drop_ins[key]])
    return unit


@dataclass(slots=True)
class _Timer:
    files: Mapping[str, str]
    name: str
    place: str
    options: Options
    names: Names
    found: Imported = field(default_factory=Imported)

    def imported(self) -> Imported:
        timer = _unit(self.files, self.name)
        assert timer is not None
        stem = self.name.removesuffix(".timer")
        wanted = timer.last("Timer", "Unit") or f"{stem}.service"
        service = _unit(self.files, wanted)
        if service is None:
            return self._refused("service", f"{wanted} is not beside it")
        if stem.endswith("@"):
            return self._refused("template", "a template has no instance of its own")
        try:
            draft = self._draft(stem, timer, service)
        except (CalendarError, CommandError) as error:
            return self._refused("timer", str(error))
        self.found.drafts.append(draft)
        return self.found

    def _refused(self, topic: str, message: str) -> Imported:
        self.found.notes.append(Note(self.place, Kind.REFUSED, topic, message))
        return self.found

    def _draft(self, stem: str, timer: Unit, service: Unit) -> Draft:
        draft = Draft(
            document={
                "name": "",
                "description": self._expanded(
                    service.last("Unit", "Description")
                    or timer.last("Unit", "Description"),
                    stem,
                ),
            },
            place=self.place,
            source=f"{self.name} and {service.name}",
        )
        document = draft.document
        schedules = self._schedules(draft, timer)
        document["command"] = self._command(draft, service, stem)
        document["environment"] = _environment(draft, service, self._expand(stem))
        document["working_dir"] = self._directory(draft, service, stem)
        document["schedule"] = schedules
        document["overlap"] = "skip"
        is_persistent = timer.flag("Timer", "Persistent")
        document["catch_up"] = (
            {"mode": "latest", "window": _PERSISTENT_WINDOW}
            if is_persistent and timer.all("Timer", "OnCalendar")
            else "none"
        )
        document["timeout"] = _timeout(draft, service, self.options)
        if cancel := _cancel(draft, service):
            document["cancel"] = cancel
        if self.options.namespace:
            document["namespace"] = self.options.namespace
        _note_timer(draft, timer)
        _note_service(draft, service)
        document["name"] = self.names.take(slug(stem))
        always = {"name", "overlap", "catch_up", "timeout"}
        draft.document = {k: v for k, v in document.items() if v or k in always}
        return draft

    def _schedules(self, draft: Draft, timer: Unit) -> list[dict[str, Any]]:
        schedules = [
            self._calendar(draft, text) for text in timer.all("Timer", "OnCalendar")
        ]
        schedules += [
            _interval(draft, key, text)
            for key in ("OnUnitActiveSec", "OnUnitInactiveSec")
            for text in timer.all("Timer", key)
        ]
        lost = [
            f"{key}={value}"
            for key in ("OnBootSec", "OnStartupSec", "OnActiveSec")
            for value in timer.all("Timer", key)
        ]
        if not schedules:
            reason = "it is due only after a start of the host, and a fleet has no such"
            raise CalendarError(f"{', '.join(lost) or 'no On...='}: {reason}")
        if lost:
            message = f"{', '.join(lost)}: nothing is due at the start of a host here"
            draft.note(Kind.DROPPED, "start of the host", message)
        return schedules

    def _calendar(self, draft: Draft, text: str) -> dict[str, Any]:
        calendar = read_calendar(text)
        zone = calendar.zone or self.options.timezone
        zone = "UTC" if zone in {"Z", "GMT"} else zone
        if not calendar.zone:
            note = timezone_note(self.place, zone)
            if note not in self.found.notes:
                self.found.notes.append(note)
        if calendar.at:
            return {"at": _instant(calendar.at, zone, text)}
        entry: dict[str, Any] = {"cron": calendar.cron, "timezone": zone}
        if calendar.exclude:
            entry["exclude"] = [calendar.exclude]
        if calendar.start:
            entry |= {"start": calendar.start, "end": calendar.end}
        return entry

    def _command(self, draft: Draft, service: Unit, stem: str) -> str | list[str]:
        lines: list[Line] = []
        for key in ("ExecStartPre", "ExecStart", "ExecStartPost"):
            lines += [
                read_line(self._expanded(text, stem))
                for text in service.all("Service", key)
            ]
        if not service.all("Service", "ExecStart"):
            raise CommandError(f"{service.name} has no ExecStart=")
        if len(lines) > 1:
            draft.note(
                Kind.KEPT, "commands", "run one after the other while they succeed"
            )
        if any(line.privileges for line in lines):
            draft.note(
                Kind.DROPPED,
                "privileges",
                "+ and ! before a command are not carried over",
            )
        if service.last("Service", "Type") in {"forking", "notify", "dbus"}:
            draft.note(
                Kind.CHANGED,
                "type",
                f"Type={service.last('Service', 'Type')}: an execution ends when its"
                " first process ends, and what that leaves behind is killed",
            )
        return command_of(lines)

    def _directory(self, draft: Draft, service: Unit, stem: str) -> str:
        text = self._expanded(service.last("Service", "WorkingDirectory"), stem)
        directory = text.lstrip("-")
        if directory == "~":
            draft.note(
                Kind.DROPPED, "directory", "WorkingDirectory=~: name the directory"
            )
            return ""
        if not directory:
            draft.note(
                Kind.CHANGED,
                "directory",
                "systemd starts in /; here the job has a directory of its own",
            )
        return directory

    def _expand(self, stem: str) -> Any:
        return lambda text: self._expanded(text, stem)

    def _expanded(self, text: str, stem: str) -> str:
        """Replace the specifiers that the name of the unit alone answers."""
        prefix, _, instance = stem.partition("@")
        known = {
            "%": "%", "i": instance, "I": instance.replace("-", "/"), "p": prefix,
            "P": prefix, "n": f"{stem}.service", "N": stem, "j": prefix.rpartition("-")[2],
        }  # fmt: skip

        def replaced(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise CommandError(
                    f"the specifier {match[0]} has its value on the host alone:"
                    " write the value"
                )
            return known[match[1]]

        return _SPECIFIER.sub(replaced, text)


def _instant(local: str, zone: str, text: str) -> str:
    try:
        moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    except (ValueError, KeyError, OSError) as error:
        raise CalendarError(f"{text!r}: {error}") from None
    try:
        return format_instant(from_datetime(moment.astimezone(UTC)))
    except RuleError as error:
        raise CalendarError(f"{text!r}: {error}") from None


def _interval(draft: Draft, key: str, text: str) -> dict[str, Any]:
    length = microseconds(text)
    if not length:
        raise CalendarError(f"{key}={text}: no time span that is understood here")
    if key == "OnUnitActiveSec":
        draft.note(
            Kind.CHANGED,
            "interval",
            f"{key}={text} counts from the last start; here the interval has a fixed"
            " grid that does not drift",
        )
    else:
        draft.offer(
            ("schedule", "from"),
            "end",
            f"{key}={text} counts from the last end; here the interval has a fixed"
            " grid, and a due time while the last run goes on is skipped",
        )
    return {"every": format_duration(length)}


def _environment(draft: Draft, service: Unit, expand: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in service.all("Service", "Environment"):
        assigned = words(expand(text))
        if assigned is None:
            raise CommandError(f"Environment={text}: a quote is not closed")
        for one in assigned:
            name, equals, value = one.partition("=")
            if not equals:
                continue
            if is_reserved(name):
                draft.note(Kind.DROPPED, "environment", f"{name} is set for every job")
                continue
            found[name] = value
    for text in service.all("Service", "EnvironmentFile"):
        draft.note(
            Kind.DROPPED,
            "environment",
            f"EnvironmentFile={text} is a file of the host: write what is in it under"
            " environment",
        )
    return found


def _timeout(draft: Draft, service: Unit, options: Options) -> str:
    limits: list[int] = []
    for key in ("TimeoutStartSec", "TimeoutSec", "RuntimeMaxSec"):
        # TimeoutStartSec counts for oneshot services, whose start is the whole run.
        is_oneshot = service.last("Service", "Type") == "oneshot"
        if key == "TimeoutStartSec" and not is_oneshot:
            continue
        text = service.last("Service", key)
        if text and (length := microseconds(text)):
            limits.append(length)
    if limits:
        return format_duration(min(limits))
    draft.note(
        Kind.CHANGED,
        "time limit",
        f"it had none; every run is ended after {options.timeout} (--job-timeout says"
        " another)",
    )
    return options.timeout


def _cancel(draft: Draft, service: Unit) -> dict[str, str]:
    found: dict[str, str] = {}
    if grace := microseconds(service.last("Service", "TimeoutStopSec")):
        found["grace"] = format_duration(grace)
    signal = service.last("Service", "KillSignal").upper().removeprefix("SIG")
    if signal in {"TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL"}:
        found["signal"] = signal
    elif signal:
        draft.note(
            Kind.DROPPED, "signal", f"KillSignal={signal} is no way to stop a job"
        )
    return found


def _note_timer(draft: Draft, timer: Unit) -> None:
    if delay := microseconds(timer.last("Timer", "RandomizedDelaySec")):
        length = format_duration(delay)
        draft.offer(
            ("schedule", "jitter"),
            length,
            f"RandomizedDelaySec={length}: starts were spread over that long, now they"
            " are not",
        )
    if accuracy := timer.last("Timer", "AccuracySec"):
        draft.note(
            Kind.CHANGED,
            "accuracy",
            f"AccuracySec={accuracy} let the start be that late; here it is due to the"
            " second",
        )
    if timer.flag("Timer", "WakeSystem"):
        draft.note(Kind.DROPPED, "wake", "WakeSystem: no sleeping host is woken")
    if timer.flag("Timer", "Persistent"):
        draft.note(
            Kind.KEPT,
            "missed times",
            "Persistent: the latest missed time is made up for, within a year",
        )
    unknown = sorted(set(timer.keys("Timer")) - _TIMER_KEYS)
    _note_unknown(draft, "Timer", unknown)


def _note_service(draft: Draft, service: Unit) -> None:
    if user := service.last("Service", "User"):
        draft.offer(
            ("user",), user, f"it ran as {user}; here it runs as the worker's user"
        )
    if group := service.last("Service", "Group"):
        draft.note(Kind.DROPPED, "group", f"Group={group}: that of the user is used")
    restart = service.last("Service", "Restart")
    if restart and restart != "no":
        draft.offer(
            ("retry",),
            3,
            f"Restart={restart}: a failed run is not tried again",
        )
        # Tried again when it failed, and not when nobody knows how it ended.
        draft.document["delivery"] = "at_most_once"
        draft.note(
            Kind.CHANGED,
            "restart",
            f"Restart={restart} tries as often as the start limit allows",
        )
    unit_keys = set(service.keys("Unit"))
    for key in sorted(unit_keys):
        if key in {"OnFailure", "OnSuccess"} or key.startswith(("Condition", "Assert")):
            values = ", ".join(service.all("Unit", key))
            draft.note(Kind.DROPPED, "unit", f"{key}={values} has no counterpart")
        if key in {"Requires", "BindsTo", "Requisite"}:
            draft.note(
                Kind.DROPPED,
                "unit",
                f"{key}={', '.join(service.all('Unit', key))}: no unit is started for it",
            )
    unknown = sorted(set(service.keys("Service")) - _SERVICE_KEYS)
    _note_unknown(draft, "Service", unknown)


def _note_unknown(draft: Draft, section: str, keys: Sequence[str]) -> None:
    if keys:
        draft.note(Kind.DROPPED, f"[{section}]", f"not carried over: {', '.join(keys)}")
