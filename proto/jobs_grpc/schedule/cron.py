"""Cron rules: an expression of the dialect, on the clocks of a zone."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from jobs_grpc.schedule.clock import ClockRule, check_dst, clock_rule
from jobs_grpc.schedule.dialect import read_expression
from jobs_grpc.schedule.duration import parse_duration
from jobs_grpc.schedule.error import RuleError
from jobs_grpc.schedule.interval import EveryRule, every_rule
from jobs_grpc.schedule.labels import labels_of
from jobs_grpc.schedule.zone import find_zone

_EVERY: Final = re.compile(r"\s*@every(?:\s+|$)", re.IGNORECASE)
_HASHED: Final = re.compile(r"(?<![A-Za-z@])H(?![A-Za-z])", re.IGNORECASE)


def cron_rule(
    text: str, *, timezone: str = "UTC", dst: str = "debian", seed: str = ""
) -> ClockRule | EveryRule:
    """Return the rule of a cron expression, or of `@every 5m`.

    `seed` decides what `H` stands for: the identity of the schedule, so that equal texts
    spread. `dst` other than `debian` treats wildcards like fixed times, too. A
    `RuleError` says what is wrong with which of them and, for the text, where.
    """
    if not (
        isinstance(text, str) and isinstance(timezone, str) and isinstance(dst, str)
    ):
        for name, value in (("cron", text), ("timezone", timezone), ("dst", dst)):
            if not isinstance(value, str):
                kind = type(value).__name__
                raise RuleError(f"{name} must be text, got {kind}", field=name)
    # The seed is part of the cache's key only where it matters: it is the identity of
    # the schedule, and a million schedules share few texts.
    return _cron_rule(text, timezone, dst, seed if is_hashed(text) else "")


def is_hashed(text: str) -> bool:
    """Say whether an expression draws values from the identity of its schedule."""
    # The plain test answers for most; a start asks it a million times.
    return ("H" in text or "h" in text) and _HASHED.search(text) is not None


# Bounded, for texts come from outside.
@lru_cache(maxsize=16_384)
def _cron_rule(text: str, timezone: str, dst: str, seed: str) -> ClockRule | EveryRule:
    zone = find_zone(timezone)
    check_dst(dst)
    if every := _EVERY.match(text):
        return _at_every(text, every.end())
    expression = read_expression(text, seed)
    return clock_rule(
        f"cron {expression.canonical}",
        labels_of(expression),
        zone,
        dst,
        real_time=expression.follows_real_time,
    )


def _at_every(text: str, start: int) -> EveryRule:
    try:
        return every_rule(parse_duration(text[start:]))
    except RuleError as error:
        raise error.inside(text, start) from None
