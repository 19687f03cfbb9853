"""One entry of a job file's `schedule`: text, or an object with one kind of rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, NamedTuple

from jobs_grpc.schedule.calendar_rule import KEYS as CALENDAR_KEYS
from jobs_grpc.schedule.calendar_rule import KINDS as CALENDAR_KINDS
from jobs_grpc.schedule.calendar_rule import calendar_rule
from jobs_grpc.schedule.calendars import Calendar
from jobs_grpc.schedule.clock import check_dst
from jobs_grpc.schedule.cron import cron_rule
from jobs_grpc.schedule.duration import DAY, parse_duration
from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted
from jobs_grpc.schedule.event import event_rule
from jobs_grpc.schedule.instant import format_instant, from_datetime, parse_instant
from jobs_grpc.schedule.interval import after_end_rule, at_rule, every_rule
from jobs_grpc.schedule.limits import (
    Blackout,
    check_left,
    excluding,
    read_blackout,
    read_edge,
)
from jobs_grpc.schedule.rule import Rule
from jobs_grpc.schedule.window import window_rule
from jobs_grpc.schedule.zone import find_zone

_KINDS: Final = ("cron", "every", "at", "run_at", *CALENDAR_KINDS, "on")
# Also the order of the keys in `source`.
_KEYS: Final = (
    "name",
    *_KINDS,
    "anchor",
    "from",
    *CALENDAR_KEYS,
    "timezone",
    "dst",
    "start",
    "end",
    "exclude",
    "blackout",
    "jitter",
    "max_runs",
    "params",
    "enabled",
    "disabled_reason",
    "disabled_until",
)
# Keys that go with some kinds only, and those kinds.
_REPEATING: Final = ("cron", "every", *CALENDAR_KINDS)
_GOES_WITH: Final[Mapping[str, tuple[str, ...]]] = {
    "anchor": ("every",),
    "from": ("every",),
    **dict.fromkeys(CALENDAR_KEYS, CALENDAR_KINDS),
    **dict.fromkeys(("start", "end", "exclude"), _REPEATING),
}
# Most of a large table says no more than this; it is read a million times at start-up.
_PLAIN: Final = ("name", "cron", "timezone")
_PLAIN_KEYS: Final = frozenset(_PLAIN)
_NO_PARAMS: Final[Mapping[str, str]] = {}
# What delays or forbids a due time in advance cannot go with one that nobody foresees.
_NOT_WITH_EVENTS: Final = ("timezone", "dst", "jitter")
_MOST_RUNS: Final = 1_000_000_000
_MOST_JITTER: Final = DAY
_LONGEST_REASON: Final = 500
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_EVERY: Final = re.compile(r"\s*every(?:\s+|$)", re.IGNORECASE)
_FROM_END: Final = re.compile(r"\s+from\s+end\s*$", re.IGNORECASE)
_PERIOD: Final = re.compile(r"\s*(\d+(\.\d+)?(ms|[smhdw]))+\s*", re.ASCII)
_INSTANT: Final = re.compile(r"\s*\d{4}-\d\d-\d\d")


class ParsedSchedule(NamedTuple):
    """A schedule of a job: when it is due, and what its executions are given.

    A named tuple, for a start makes a million of them.
    """

    rule: Rule
    name: str | None
    params: Mapping[str, str]
    enabled: bool
    # What was written, ready for JSON, keys in a fixed order: diffs of it are stable.
    source: str | Mapping[str, object]
    disabled_reason: str = ""
    # Due times before this instant start nothing; None where that has no end.
    disabled_until: int | None = None
    # The longest delay of a start, in microseconds; see `jitter_delay`.
    jitter: int = 0
    # How many executions it may start in all.
    max_runs: int | None = None
    # Days on which its due times are decided against.
    blackout: Blackout | None = None


def parse_schedule(
    spec: str | Mapping[str, object],
    *,
    default_timezone: str = "UTC",
    seed: str = "",
    calendars: Mapping[str, Calendar] | None = None,
) -> ParsedSchedule:
    """Return the schedule that `spec` describes, or raise a `RuleError`.

    Text is a cron expression, an alias such as `@hourly`, or `every 30m`. An object has
    exactly one kind of rule: `cron`, `every` (with `anchor`, or `from: end`), `at`,
    `daily`, `weekly`, `monthly` or `on` (an event); `run_at` is another word for `at`. `timezone` is
    checked everywhere. `calendars` are those that the object may name. The error names
    the key in `field`, and the place in the text of that key in `position`.
    """
    if isinstance(spec, str):
        return ParsedSchedule(
            rule=_text_rule(spec, default_timezone, seed),
            name=None,
            params={},
            enabled=True,
            source=spec.strip(),
        )
    if not isinstance(spec, Mapping):
        raise RuleError(f"a schedule is text or an object, got {type(spec).__name__}")
    if "cron" in spec and spec.keys() <= _PLAIN_KEYS:
        return _plain(spec, default_timezone, seed)
    kind = _kind(spec)
    timezone = _text(spec.get("timezone", default_timezone), "timezone")
    known = calendars or {}
    rule = _object_rule(kind, spec, timezone, seed, known)
    rule = _bounded(rule, spec, timezone, seed, known)
    params = _params(spec.get("params", {}))
    until = None
    if "disabled_until" in spec:
        until = _instant(spec["disabled_until"], "disabled_until")
    given = {key: written(value) for key, value in spec.items()}
    if "params" in spec:
        given["params"] = params
    return ParsedSchedule(
        rule=rule,
        name=_name(spec["name"]) if "name" in spec else None,
        params=params,
        enabled=_flag(spec.get("enabled", True), "enabled"),
        disabled_reason=_reason(spec),
        disabled_until=until,
        jitter=_jitter(spec.get("jitter", 0)),
        max_runs=_count(spec["max_runs"]) if "max_runs" in spec else None,
        blackout=(
            read_blackout(spec["blackout"], timezone, known)
            if "blackout" in spec
            else None
        ),
        source={key: given[key] for key in _KEYS if key in given},
    )


def _plain(
    spec: Mapping[str, object], default_timezone: str, seed: str
) -> ParsedSchedule:
    """Do what `parse_schedule` does, for a cron expression with a name or a zone only."""
    timezone = _text(spec.get("timezone", default_timezone), "timezone")
    find_zone(timezone)
    try:
        rule = cron_rule(_text(spec["cron"], "cron"), timezone=timezone, seed=seed)
    except RuleError as error:
        raise error.under("cron") from None
    return ParsedSchedule(
        rule=rule,
        name=_name(spec["name"]) if "name" in spec else None,
        params=_NO_PARAMS,
        enabled=True,
        source={key: spec[key] for key in _PLAIN if key in spec},
    )


def _text_rule(text: str, timezone: str, seed: str) -> Rule:
    if every := _EVERY.match(text):
        find_zone(timezone)
        from_end = _FROM_END.search(text)
        until = from_end.start() if from_end else len(text)
        try:
            period = parse_duration(text[every.end() : until])
            return after_end_rule(period) if from_end else every_rule(period)
        except RuleError as error:
            raise error.inside(text, every.end()) from None
    if _PERIOD.fullmatch(text):
        find_zone(timezone)
        return every_rule(parse_duration(text))
    if _INSTANT.match(text):
        raise RuleError(
            f"one instant is written as an object: {{at: {text.strip()[:40]}}}",
            position=0,
            text=text,
        )
    return cron_rule(text, timezone=timezone, seed=seed)


def _kind(spec: Mapping[str, object]) -> str:
    """Return the one key that says what kind of rule it is; check all the keys."""
    for key in spec:
        if not isinstance(key, str):
            raise RuleError(f"the keys of a schedule are text, got {quoted(key)}")
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS)
            raise RuleError(f"unknown key {quoted(key)}{hint}", field=key)
    kinds = [key for key in _KINDS if key in spec]
    if not kinds:
        raise RuleError(
            "a schedule needs one of cron, every, at, daily, weekly, monthly or on"
        )
    if len(kinds) > 1:
        raise RuleError(
            f"a schedule has one kind of rule, got {kinds[0]} and {kinds[1]}: write two"
            " schedules",
            field=kinds[1],
        )
    for key, allowed in _GOES_WITH.items():
        if key in spec and kinds[0] not in allowed:
            raise RuleError(f"{key} goes with {_listed(allowed)}", field=key)
    return kinds[0]


def _object_rule(
    kind: str,
    spec: Mapping[str, object],
    timezone: str,
    seed: str,
    known: Mapping[str, Calendar],
) -> Rule:
    dst = _text(spec.get("dst", "debian"), "dst")
    zone = find_zone(timezone)
    check_dst(dst)
    if kind == "cron":
        try:
            text = _text(spec["cron"], "cron")
            return cron_rule(text, timezone=timezone, dst=dst, seed=seed)
        except RuleError as error:
            raise error.under("cron") from None
    if kind == "every":
        return _every(spec)
    if kind == "on":
        for key in _NOT_WITH_EVENTS:
            if key in spec:
                raise RuleError(f"{key} does not go with on", field=key)
        return event_rule(spec["on"])
    if kind in CALENDAR_KINDS:
        return calendar_rule(kind, spec, zone=zone, dst=dst, known=known)
    return at_rule(_instant(spec[kind], kind))


def _every(spec: Mapping[str, object]) -> Rule:
    try:
        # Anything but text and numbers is refused there.
        period = parse_duration(spec["every"])  # type: ignore[arg-type]
        if "from" not in spec:
            anchor = _instant(spec.get("anchor", "1970-01-01T00:00:00Z"), "anchor")
            return every_rule(period, anchor=anchor)
        if spec["from"] != "end":
            raise RuleError(
                "from is end: a period counts from the end of the last execution, or"
                f" from its anchor, got {quoted(spec['from'])}",
                field="from",
            )
        for key in ("anchor", "start", "end", "exclude", "jitter"):
            if key in spec:
                raise RuleError(f"{key} does not go with from: end", field=key)
        return after_end_rule(period)
    except RuleError as error:
        raise error.under("every") from None


def _bounded(
    rule: Rule,
    spec: Mapping[str, object],
    timezone: str,
    seed: str,
    known: Mapping[str, Calendar],
) -> Rule:
    """Return the rule without its exclusions and within its window."""
    has_exclusion = "exclude" in spec
    if has_exclusion:
        rule = excluding(
            rule, spec["exclude"], timezone=timezone, seed=seed, known=known
        )
    zone = find_zone(timezone)
    start, end = (
        read_edge(spec[key], zone, key) if key in spec else None
        for key in ("start", "end")
    )
    rule = window_rule(rule, start, end)
    if has_exclusion or start is not None or end is not None:
        check_left(rule, excluded=has_exclusion)
    return rule


def written(value: object) -> object:
    """Return a value as JSON has it: YAML and TOML readers make dates of some texts."""
    if isinstance(value, datetime):
        return format_instant(from_datetime(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [written(one) for one in value]
    return value


def _instant(value: object, field: str) -> int:
    try:
        if isinstance(value, datetime):
            return from_datetime(value)
        return parse_instant(value)  # type: ignore[arg-type]  # refuses what is no text
    except RuleError as error:
        raise error.under(field) from None


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise RuleError(
            f"{field} must be text, got {type(value).__name__}", field=field
        )
    return value


def _jitter(value: object) -> int:
    try:
        jitter = parse_duration(value)  # type: ignore[arg-type]  # refuses the rest
    except RuleError as error:
        raise error.under("jitter") from None
    if jitter > _MOST_JITTER:
        raise RuleError("jitter is at most 24h", field="jitter")
    return jitter


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuleError("max_runs must be a whole number", field="max_runs")
    if not 1 <= value <= _MOST_RUNS:
        raise RuleError(f"max_runs must be 1-{_MOST_RUNS}", field="max_runs")
    return value


def _listed(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _name(value: object) -> str:
    name = _text(value, "name")
    if not _NAME.fullmatch(name):
        raise RuleError(
            "a name has 1-128 letters, digits, dots, dashes or underscores and starts"
            f" with a letter or digit, got {quoted(name)}",
            field="name",
        )
    return name


def _flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise RuleError(f"{field} must be true or false", field=field)
    return value


def _reason(spec: Mapping[str, object]) -> str:
    if "disabled_reason" not in spec:
        return ""
    reason = _text(spec["disabled_reason"], "disabled_reason")
    if len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise RuleError(
            f"a reason is one line of at most {_LONGEST_REASON} characters",
            field="disabled_reason",
        )
    if spec.get("enabled", True) is True and "disabled_until" not in spec:
        raise RuleError(
            "disabled_reason goes with enabled: false or disabled_until",
            field="disabled_reason",
        )
    return reason


def _params(value: object) -> Mapping[str, str]:
    """Return the parameters as text: executions get text, files may write numbers."""
    if not isinstance(value, Mapping):
        raise RuleError("params must be an object", field="params")
    params: dict[str, str] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise RuleError(f"a parameter's name is text, got {key!r}", field="params")
        if isinstance(item, bool):
            params[key] = "true" if item else "false"
        elif isinstance(item, str | int | float):
            params[key] = str(item)
        else:
            raise RuleError(
                f"the parameter {quoted(key)} must be text, a number, true or false",
                field="params",
            )
    return params
