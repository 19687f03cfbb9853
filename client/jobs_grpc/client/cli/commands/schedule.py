"""`schedule`: what due times will be, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from jobs_grpc.client.cli.commands.schedule_objects import COMMANDS
from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import print_document, print_records
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.options import Group, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.decision import Decision
from jobs_grpc.client.records.page import Page

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client
    from jobs_grpc.schedule import Rule, RuleError


@click.group(cls=Group)
def schedule() -> None:
    """Look after schedules, preview them, and see what became of due times."""


@schedule.command()
@click.argument("expressions", metavar="EXPR...", nargs=-1, required=True)
@click.option("--tz", default="UTC", show_default=True, help="An IANA time zone.")
@click.option(
    "--from", "start", metavar="TIME", help="Begin after this; now if left out."
)
@click.option(
    "--count",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="How many due times.",
)
@pass_settings
def preview(
    settings: Settings,
    expressions: tuple[str, ...],
    tz: str,
    start: str | None,
    count: int,
) -> None:
    """Print the next due times of a schedule, without a server.

    EXPR is what a job file takes: a cron expression ("30 2 * * 1-5"), an alias
    ("@hourly") or an interval ("every 90s"). Several are a union.
    """
    from jobs_grpc.schedule import RuleError, format_instant, next_times, parse_instant

    try:
        after = parse_instant(start) if start else _now()
        due = next_times(_rules(expressions, tz), after, count)
    except RuleError as error:
        raise _explained(error) from None
    if settings.output in {"json", "yaml"}:
        data = [{"due_at": format_instant(one)} for one in due]
        print_document(settings, {"data": data})
    elif settings.output == "name":
        for one in due:
            click.echo(format_instant(one))
    else:
        zone = ZoneInfo(tz)
        for one in due:
            click.echo(_local_text(one, zone))


@schedule.command()
@click.argument("job", required=False, default="")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="How many, newest first.",
)
@click.option("--page-token", default="", help="Go on where the last page ended.")
@pass_settings
def decisions(settings: Settings, job: str, limit: int, page_token: str) -> None:
    """List what became of due times: started, or skipped and why."""

    async def work(client: Client) -> Page[Decision]:
        return await client.schedules.decisions(
            job, page_size=limit, page_token=page_token
        )

    page = converse(settings, work, job=job)
    print_records(
        settings,
        page.data,
        _columns(datetime.now(UTC)),
        name=lambda one: one.execution_id or "-",
        envelope=page.to_json(),
        empty="there are no decisions yet",
    )


def _rules(expressions: Sequence[str], tz: str) -> list[Rule]:
    from jobs_grpc.schedule import parse_schedule

    return [parse_schedule(one, default_timezone=tz).rule for one in expressions]


def _explained(error: RuleError) -> Failure:
    """Return the error with a mark under the place where reading stopped."""
    message = error.message
    if error.position is not None and error.text:
        message += f"\n  {error.text}\n  {' ' * error.position}^"
    return Failure(message, Exit.USAGE)


def _now() -> int:
    from jobs_grpc.runtime.clock import SystemClock

    return SystemClock().now()


def _local_text(instant: int, zone: ZoneInfo) -> str:
    from jobs_grpc.runtime.clock import to_datetime

    return to_datetime(instant).astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")


def _columns(now: datetime) -> list[Column[Decision]]:
    return [
        Column("DUE", lambda one: clock_text(one.due_at)),
        Column("JOB", lambda one: one.job),
        Column("WORKSPACE", lambda one: one.workspace, only_wide=True),
        Column("OUTCOME", lambda one: one.outcome.value),
        Column("REASON", lambda one: one.reason.value if one.reason else ""),
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
