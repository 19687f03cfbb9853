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

from jobs_grpc.schedule.calendars import Calendar, read_calendar, read_calendars
from jobs_grpc.schedule.changes import ClockChange, clock_changes
from jobs_grpc.schedule.circle import causes_of, circle_text
from jobs_grpc.schedule.clock import ClockRule
from jobs_grpc.schedule.cron import cron_rule
from jobs_grpc.schedule.duration import format_duration, parse_duration
from jobs_grpc.schedule.error import RuleError
from jobs_grpc.schedule.event import EventRule
from jobs_grpc.schedule.identity import rule_identity
from jobs_grpc.schedule.instant import format_instant, parse_instant
from jobs_grpc.schedule.interval import (
    AfterEndRule,
    AtRule,
    EveryRule,
    after_end_rule,
    at_rule,
    every_rule,
)
from jobs_grpc.schedule.jitter import jitter_delay
from jobs_grpc.schedule.join import JoinRule, join_rule
from jobs_grpc.schedule.limits import Blackout
from jobs_grpc.schedule.rule import Rule, next_times
from jobs_grpc.schedule.spec import ParsedSchedule, parse_schedule
from jobs_grpc.schedule.window import WindowRule
from jobs_grpc.schedule.zone import tzdata_version

__all__ = [
    "AfterEndRule",
    "AtRule",
    "Blackout",
    "Calendar",
    "ClockChange",
    "ClockRule",
    "EventRule",
    "EveryRule",
    "JoinRule",
    "ParsedSchedule",
    "Rule",
    "RuleError",
    "WindowRule",
    "after_end_rule",
    "at_rule",
    "causes_of",
    "circle_text",
    "clock_changes",
    "cron_rule",
    "every_rule",
    "format_duration",
    "format_instant",
    "jitter_delay",
    "join_rule",
    "next_times",
    "parse_duration",
    "parse_instant",
    "parse_schedule",
    "read_calendar",
    "read_calendars",
    "rule_identity",
    "tzdata_version",
]
