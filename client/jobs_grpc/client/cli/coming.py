"""Due times to come, as `schedule preview` and `job next` ask for and print them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import click

from jobs_grpc.client.cli.display.due_times import due_text, month_lines
from jobs_grpc.client.cli.display.printing import note, print_document
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.instants import instant
from jobs_grpc.client.cli.options import Settings
from jobs_grpc.client.records.decision import SkipReason
from jobs_grpc.client.records.due_time import DueTime, DueTimes
from jobs_grpc.client.records.rendering import instant_text

if TYPE_CHECKING:
    from jobs_grpc.schedule import ParsedSchedule

F = TypeVar("F", bound=Callable[..., Any])
_LISTED: Final = 10
_MARKED: Final = 100
_MOST: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def coming_options(command: F) -> F:
    """Add what both commands take."""
    for option in (
        click.option(
            "--calendar",
            "as_calendar",
            is_flag=True,
            help="Show months with marks instead of a list.",
        ),
        click.option(
            "--count",
            type=click.IntRange(1, _MOST),
            help=f"How many due times. [default: {_LISTED}; {_MARKED} in a calendar]",
        ),
        click.option(
            "--from", "start", metavar="TIME", help="Begin after this; now if left out."
        ),
    ):
        command = option(command)
    return command


def count_of(count: int | None, *, as_calendar: bool) -> int:
    return count or (_MARKED if as_calendar else _LISTED)


def after_of(start: str | None) -> datetime:
    """Return the instant that `--from` gives, or now."""
    from jobs_grpc.runtime.clock import SystemClock, to_datetime

    return instant(start, "--from") or to_datetime(SystemClock().now())


def parsed_expression(text: str, tz: str) -> ParsedSchedule:
    """Return the schedule of a text, or of an object in braces."""
    from jobs_grpc.schedule import parse_schedule

    # A schedule with a zone of its own says nothing about this one.
    parse_schedule("every 1d", default_timezone=tz)
    if not text.lstrip().startswith("{"):
        return parse_schedule(text, default_timezone=tz)
    from jobs_grpc.jobfile import ProblemsError, read_entry

    try:
        entry = read_entry(text)
    except ProblemsError as error:
        raise Failure(str(error), Exit.USAGE) from None
    return parse_schedule(entry, default_timezone=tz)


def coming(
    parsed: Sequence[ParsedSchedule], names: Sequence[str], after: datetime, count: int
) -> tuple[DueTime, ...]:
    """Return the first due times of any of the schedules, with the texts that name them.

    Where there is one schedule alone, that goes without saying.
    """
    from jobs_grpc.runtime.clock import to_datetime
    from jobs_grpc.schedule import next_times

    start = (after - _EPOCH) // timedelta(microseconds=1)
    found = []
    for due in next_times([one.rule for one in parsed], start, count):
        named = [
            (name, one)
            for name, one in zip(names, parsed, strict=True)
            if one.rule.next_after(due - 1) == due
        ]
        is_dark = all(one.blackout and one.blackout.covers(due) for _, one in named)
        at = to_datetime(due)
        found.append(
            DueTime(
                due_at=at,
                starts_at=at,
                schedules=tuple(name for name, _ in named) if len(names) > 1 else (),
                skip=SkipReason.BLACKOUT if is_dark else None,
            )
        )
    return tuple(found)


def print_coming(
    settings: Settings,
    found: DueTimes,
    *,
    zone: str,
    after: datetime,
    count: int,
    as_calendar: bool,
) -> None:
    """Print due times in the way that was asked for."""
    if settings.is_data:
        print_document(settings, found.to_json())
    elif settings.output == "name":
        for one in found.data:
            click.echo(instant_text(one.due_at))
    elif as_calendar:
        is_all = len(found.data) < count
        for line in month_lines(found.data, ZoneInfo(zone), after, is_all=is_all):
            click.echo(line)
    else:
        for one in found.data:
            click.echo(due_text(one, ZoneInfo(zone)))
        if not found.data:
            note("there is no due time to come")
