"""Schedules: from the text of a person to the instants at which work is due.

Pure arithmetic, shared by the control plane, the validator of job files and the preview
of the CLI, so that all three say the same. Nothing here reads a clock, waits, draws a
random number or knows the rest of the product. Instants and durations are integer
microseconds, instants since the epoch in UTC.

croniter reads the dialect, cronsim knows the calendar, `zoneinfo` the zones; what each of
them gets wrong is settled in `terms`, `labels` and `cron`, and a brute-force oracle among
the tests judges the whole.
"""

from __future__ import annotations

from jobs_grpc.schedule.cron import CronRule, cron_rule
from jobs_grpc.schedule.duration import format_duration, parse_duration
from jobs_grpc.schedule.error import RuleError
from jobs_grpc.schedule.instant import format_instant, parse_instant
from jobs_grpc.schedule.interval import AtRule, EveryRule, at_rule, every_rule
from jobs_grpc.schedule.rule import Rule, next_times
from jobs_grpc.schedule.spec import ParsedSchedule, parse_schedule

__all__ = [
    "AtRule",
    "CronRule",
    "EveryRule",
    "ParsedSchedule",
    "Rule",
    "RuleError",
    "at_rule",
    "cron_rule",
    "every_rule",
    "format_duration",
    "format_instant",
    "next_times",
    "parse_duration",
    "parse_instant",
    "parse_schedule",
]
