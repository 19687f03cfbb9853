"""One entry of a job file's `schedule`: text, or an object with one kind of rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jobs_grpc.schedule.cron import check_dst, cron_rule
from jobs_grpc.schedule.duration import parse_duration
from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted
from jobs_grpc.schedule.instant import format_instant, from_datetime, parse_instant
from jobs_grpc.schedule.interval import at_rule, every_rule
from jobs_grpc.schedule.rule import Rule
from jobs_grpc.schedule.zone import find_zone

_KINDS: Final = ("cron", "every", "at", "run_at")
# Also the order of the keys in `source`.
_KEYS: Final = (
    "name",
    *_KINDS,
    "anchor",
    "timezone",
    "dst",
    "params",
    "enabled",
    "disabled_reason",
    "disabled_until",
)
_LATER: Final = frozenset(
    [
        "daily",
        "weekly",
        "monthly",
        "time",
        "jitter",
        "start",
        "end",
        "from",
        "max_runs",
        "exclude",
    ]
)
_LONGEST_REASON: Final = 500
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_EVERY: Final = re.compile(r"\s*every(?:\s+|$)", re.IGNORECASE)
_INSTANT: Final = re.compile(r"\s*\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSchedule:
    """A schedule of a job: when it is due, and what its executions are given."""

    rule: Rule
    name: str | None
    params: Mapping[str, str]
    enabled: bool
    disabled_reason: str = ""
    # Due times before this instant start nothing; None where that has no end.
    disabled_until: int | None = None
    # What was written, ready for JSON, keys in a fixed order: diffs of it are stable.
    source: str | Mapping[str, object]


def parse_schedule(
    spec: str | Mapping[str, object], *, default_timezone: str = "UTC", seed: str = ""
) -> ParsedSchedule:
    """Return the schedule that `spec` describes, or raise a `RuleError`.

    Text is a cron expression, an alias such as `@hourly`, or `every 30m`. An object has
    exactly one of `cron`, `every` (with `anchor`) and `at`; `run_at` is another word for
    `at`. `timezone` and `dst` are checked everywhere and matter to cron only. The error
    names the key in `field`, and the place in the text of that key in `position`.
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
    kind = _kind(spec)
    rule, written = _object_rule(kind, spec, default_timezone, seed)
    params = _params(spec.get("params", {}))
    until = None
    if "disabled_until" in spec:
        until = _instant(spec["disabled_until"], "disabled_until")
        written.update(_written(spec, "disabled_until"))
    given = {**spec, **written}
    if "params" in spec:
        given["params"] = params
    return ParsedSchedule(
        rule=rule,
        name=_name(spec["name"]) if "name" in spec else None,
        params=params,
        enabled=_flag(spec.get("enabled", True), "enabled"),
        disabled_reason=_reason(spec),
        disabled_until=until,
        source={key: given[key] for key in _KEYS if key in given},
    )


def _text_rule(text: str, timezone: str, seed: str) -> Rule:
    if every := _EVERY.match(text):
        find_zone(timezone)
        try:
            return every_rule(parse_duration(text[every.end() :]))
        except RuleError as error:
            raise error.inside(text, every.end()) from None
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
        if key in _LATER:
            raise RuleError(f"{key} is not supported yet", field=key)
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS)
            raise RuleError(f"unknown key {quoted(key)}{hint}", field=key)
    kinds = [key for key in _KINDS if key in spec]
    if not kinds:
        raise RuleError("a schedule needs one of cron, every or at")
    if len(kinds) > 1:
        raise RuleError(
            f"a schedule has one kind of rule, got {kinds[0]} and {kinds[1]}: write two"
            " schedules",
            field=kinds[1],
        )
    if "anchor" in spec and kinds[0] != "every":
        raise RuleError("anchor goes with every", field="anchor")
    return kinds[0]


def _object_rule(
    kind: str, spec: Mapping[str, object], default_timezone: str, seed: str
) -> tuple[Rule, dict[str, object]]:
    """Return the rule, and the keys that JSON wants written in another way."""
    timezone = _text(spec.get("timezone", default_timezone), "timezone")
    dst = _text(spec.get("dst", "debian"), "dst")
    find_zone(timezone)
    check_dst(dst)
    if kind == "cron":
        try:
            text = _text(spec["cron"], "cron")
            rule = cron_rule(text, timezone=timezone, dst=dst, seed=seed)
        except RuleError as error:
            raise error.under("cron") from None
        return rule, {}
    if kind == "every":
        anchor = _instant(spec.get("anchor", "1970-01-01T00:00:00Z"), "anchor")
        try:
            # Anything but text and numbers is refused there.
            period = parse_duration(spec["every"])  # type: ignore[arg-type]
            rule_every = every_rule(period, anchor=anchor)
        except RuleError as error:
            raise error.under("every") from None
        return rule_every, _written(spec, "anchor")
    return at_rule(_instant(spec[kind], kind)), _written(spec, kind)


def _written(spec: Mapping[str, object], key: str) -> dict[str, object]:
    """Return the key with its datetime as text, as a YAML or TOML reader made one."""
    value = spec.get(key)
    if isinstance(value, datetime):
        return {key: format_instant(from_datetime(value))}
    return {}


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
