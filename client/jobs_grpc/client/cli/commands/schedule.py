"""`schedule`: what due times will be, and what became of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.coming import (
    after_of,
    coming,
    coming_options,
    count_of,
    parsed_expression,
    print_coming,
)
from jobs_grpc.client.cli.commands.schedule_objects import COMMANDS
from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import print_page
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.instants import instant
from jobs_grpc.client.cli.options import Group, Settings, page_options, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.decision import Decision, SkipReason
from jobs_grpc.client.records.due_time import DueTimes
from jobs_grpc.client.records.page import Page

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client
    from jobs_grpc.schedule import RuleError


@click.group(cls=Group)
def schedule() -> None:
    """Look after schedules, preview them, and see what became of due times."""


@schedule.command()
@click.argument("expressions", metavar="EXPR...", nargs=-1, required=True)
@click.option("--tz", help="An IANA time zone. [default: UTC]")
@coming_options
@pass_settings
def preview(
    settings: Settings,
    expressions: tuple[str, ...],
    tz: str | None,
    start: str | None,
    count: int | None,
    as_calendar: bool,
) -> None:
    """Print the next due times of a schedule, without a server.

    EXPR is what a job file takes: a cron expression ("30 2 * * 1-5"), an alias
    ("@hourly"), an interval ("every 90s"), or an object ("{monthly: last-day, time:
    18:00}"). Several are a union.
    """
    from jobs_grpc.schedule import RuleError

    try:
        parsed = [parsed_expression(one, tz or "UTC") for one in expressions]
        after = after_of(start)
        most = count_of(count, as_calendar=as_calendar)
        due_times = coming(parsed, expressions, after, most)
    except RuleError as error:
        raise _explained(error) from None
    zones = {one.rule.timezone for one in parsed}
    zone = tz or (zones.pop() if len(zones) == 1 else "UTC")
    print_coming(
        settings,
        DueTimes(data=due_times, timezone=zone),
        zone=zone,
        after=after,
        count=most,
        as_calendar=as_calendar,
    )


@schedule.command()
@click.argument("job", required=False, default="")
@page_options()
@click.option(
    "--since",
    metavar="TIME|DURATION",
    help="Only due times from then on: RFC 3339, or how long ago.",
)
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    metavar="REASON",
    type=click.Choice([one.value for one in SkipReason if one != "unrecognized"]),
    help="Only those skipped for this; may be repeated.",
)
@pass_settings
def decisions(
    settings: Settings,
    job: str,
    limit: int,
    since: str | None,
    reasons: tuple[str, ...],
    page_token: str,
) -> None:
    """List what became of due times: started, or skipped and why."""
    start = _start(since)

    async def work(client: Client) -> Page[Decision]:
        return await client.schedules.decisions(
            job,
            since=start,
            reasons=tuple(map(SkipReason, reasons)),
            page_size=limit,
            page_token=page_token,
        )

    page = converse(settings, work, job=job)
    print_page(
        settings,
        page,
        _columns(datetime.now(UTC)),
        name=lambda one: one.execution_id or "-",
        empty=_empty(since, reasons, page_token),
    )


def _empty(since: str | None, reasons: tuple[str, ...], page_token: str) -> str:
    """Return what an empty list means: that a filter matches nothing is not "none"."""
    filters = [
        flag for flag, said in (("--since", since), ("--reason", reasons)) if said
    ]
    if filters:
        them = "it" if len(filters) == 1 else "them"
        names = " and ".join(filters)
        return f"no decision matches {names}; without {them} the list has all"
    return "there are no more decisions" if page_token else "there are no decisions yet"


def _start(text: str | None) -> datetime | None:
    if text is None or (text[:4].isdigit() and text[4:5] == "-"):
        return instant(text, "--since")
    from jobs_grpc.runtime.clock import SystemClock, to_datetime
    from jobs_grpc.schedule import RuleError, parse_duration

    try:
        return to_datetime(SystemClock().now() - parse_duration(text))
    except RuleError as error:
        raise click.UsageError(f"--since: {error}") from None


def _explained(error: RuleError) -> Failure:
    """Return the error with a mark under the place where reading stopped."""
    message = error.message
    if error.position is not None and error.text:
        message += f"\n  {error.text}\n  {' ' * error.position}^"
    return Failure(message, Exit.USAGE)


def _reason_text(one: Decision) -> str:
    reason = one.reason.value if one.reason else ""
    if one.until is None:
        return reason
    count = f"{one.due_times} times" if one.due_times else "all"
    return f"{reason} ({count} until {clock_text(one.until)})"


def _columns(now: datetime) -> list[Column[Decision]]:
    return [
        Column("DUE", lambda one: clock_text(one.due_at)),
        Column("JOB", lambda one: one.job),
        Column("WORKSPACE", lambda one: one.workspace, only_wide=True),
        Column("OUTCOME", lambda one: one.outcome.value),
        Column("REASON", _reason_text),
        Column(
            "EXECUTION",
            lambda one: (one.execution_id or one.holder)[:8],
            wide=lambda one: one.execution_id or one.holder,
        ),
        Column(
            "DECIDED",
            lambda one: relative_text(one.decided_at, now),
            wide=lambda one: clock_text(one.decided_at),
        ),
    ]


for _command in COMMANDS:
    schedule.add_command(_command)
