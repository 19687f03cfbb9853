"""`job`: definitions. `list` is `job list`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobs_grpc.client.cli.coming import after_of, coming_options, count_of, print_coming
from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import (
    note,
    print_document,
    print_done,
    print_fields,
    print_record,
    print_records,
    yaml_text,
)
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.options import Group, Settings, file_options, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.due_time import DueTimes
from jobs_grpc.client.records.job import Job, Schedule

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client

_SHOWN_RULES = 2
# Said by every interval that is not anchored elsewhere.
_USUAL_ANCHOR = " from 1970-01-01T00:00:00Z"


@click.group(cls=Group)
def job() -> None:
    """Look after job definitions."""


@job.command("list")
@click.option(
    "-l",
    "--label",
    "labels",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="Only jobs with this label or tag; may be repeated, and all must match.",
)
@pass_settings
def list_jobs(settings: Settings, labels: tuple[str, ...]) -> None:
    """List jobs: type, schedule, next run, last state."""

    async def work(client: Client) -> tuple[Job, ...]:
        return await client.jobs.list(labels=labels)

    jobs = converse(settings, work)
    print_records(
        settings,
        jobs,
        job_columns(datetime.now(UTC)),
        name=lambda one: one.name,
        empty="there are no such jobs" if labels else "there are no jobs",
    )


@job.command()
@click.argument("name")
@pass_settings
def get(settings: Settings, name: str) -> None:
    """Show one job with its definition."""

    async def work(client: Client) -> Job:
        return await client.jobs.get(name)

    found = converse(settings, work, job=name)
    print_record(settings, found, name=found.name, show=lambda: _show(found))


@job.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_settings
def delete(settings: Settings, name: str, yes: bool) -> None:
    """Remove a job and its schedules. Its history stays, what runs goes on."""
    if not yes:
        ask(f'delete the job "{name}"?')

    async def work(client: Client) -> None:
        await client.jobs.delete(name)

    converse(settings, work, job=name)
    whole = {
        "namespace": settings.namespace,
        "workspace": workspace_word(settings),
        "name": name,
    }
    print_done(
        settings,
        {**whole, "outcome": "deleted"},
        name=name,
        text=f"deleted   {'/'.join(whole.values())}",
    )


@job.command()
@click.argument("name")
@pass_settings
def enable(settings: Settings, name: str) -> None:
    """Let the schedules of a job start it."""

    async def work(client: Client) -> Job:
        return await client.jobs.enable(name)

    _say_changed(settings, "enabled", converse(settings, work, job=name))


@job.command()
@click.argument("name")
@pass_settings
def disable(settings: Settings, name: str) -> None:
    """Let no schedule start a job. It can still be run by hand."""

    async def work(client: Client) -> Job:
        return await client.jobs.disable(name)

    _say_changed(settings, "disabled", converse(settings, work, job=name))


@job.command()
@file_options
@pass_settings
def validate(
    settings: Settings, paths: tuple[str, ...], stdin_format: str | None
) -> None:
    """Check job files without a server. Exit code 7 if one is not valid."""
    from jobs_grpc.client.cli.sources import load_sources
    from jobs_grpc.runtime.clock import SystemClock

    loaded = load_sources(settings, paths, stdin_format, now=SystemClock().now())
    for one in loaded:
        click.echo(f"valid   {'/'.join(one.key)}")
    note(f"{len(loaded)} valid")


@job.command("next")
@click.argument("name", metavar="JOB")
@click.option("--tz", help="The time zone to show. [default: that of the schedules]")
@coming_options
@pass_settings
def next_(
    settings: Settings,
    name: str,
    tz: str | None,
    start: str | None,
    count: int | None,
    as_calendar: bool,
) -> None:
    """Print the next due times of a job, and which of its schedules name them.

    Those that start nothing as things stand are shown with the reason. Overlap, pauses to
    come and outages are not foreseen.
    """
    from jobs_grpc.schedule import RuleError, parse_schedule

    try:
        after = after_of(start)
        if tz:
            parse_schedule("every 1d", default_timezone=tz)
    except RuleError as error:
        raise Failure(error.message, Exit.USAGE) from None
    most = count_of(count, as_calendar=as_calendar)

    async def work(client: Client) -> DueTimes:
        moment = after if start else None
        return await client.schedules.next(name, after=moment, count=most)

    found = converse(settings, work, job=name)
    print_coming(
        settings,
        found,
        zone=tz or found.timezone,
        after=after,
        count=most,
        as_calendar=as_calendar,
    )


@job.command()
@pass_settings
def schema(settings: Settings) -> None:
    """Print the JSON Schema of job files, for editors."""
    from jobs_grpc.jobfile import json_schema

    print_document(settings, json_schema())


def job_columns(now: datetime) -> list[Column[Job]]:
    """Return the columns of a list of jobs."""
    return [
        Column("NAME", lambda one: one.name),
        Column("NAMESPACE", lambda one: one.namespace, only_wide=True),
        Column("WORKSPACE", lambda one: one.workspace),
        Column("TYPE", lambda one: one.type),
        Column("ENABLED", enabled_text),
        Column("SCHEDULE", _short_rules, wide=all_rules),
        Column(
            "NEXT RUN",
            lambda one: relative_text(one.next_run_at, now),
            wide=lambda one: clock_text(one.next_run_at),
        ),
        Column("LAST STATE", lambda one: one.statistics.last_state or "-"),
        Column("DESCRIPTION", lambda one: one.description),
    ]


def all_rules(one: Job) -> str:
    """Return every schedule of a job in a line."""
    return "; ".join(map(rule_text, one.schedules))


def _short_rules(one: Job) -> str:
    rules = [rule_text(schedule) for schedule in one.schedules]
    more = len(rules) - _SHOWN_RULES
    return "; ".join(rules[:_SHOWN_RULES]) + (f"; {more} more" if more > 0 else "")


def rule_text(schedule: Schedule) -> str:
    """Return a rule as tables show it."""
    rule = schedule.rule.removeprefix("cron ").removesuffix(_USUAL_ANCHOR)
    zone = "" if schedule.timezone in {"", "UTC"} else f" {schedule.timezone}"
    return f"{rule}{zone}{'' if schedule.enabled else ' (off)'}"


def _show(one: Job) -> None:
    labels: dict[str, Any] = one.document.get("labels") or {}
    print_fields(
        [
            ("Job", one.name),
            ("Namespace", one.namespace),
            ("Workspace", one.workspace),
            ("Type", one.type),
            ("Description", one.description or "-"),
            ("Labels", ", ".join(map(_label, labels.items())) or "-"),
            ("Enabled", enabled_text(one)),
            *pause_fields(one),
            ("Schedule", all_rules(one) or "-"),
            ("Next Run", clock_text(one.next_run_at)),
            *_waiting_fields(one),
            ("Revision", str(one.revision)),
            ("Source", one.source or "-"),
            ("Created", clock_text(one.created_at)),
            ("Updated", clock_text(one.updated_at)),
        ]
    )
    click.echo("Definition:")
    for line in yaml_text(one.document).splitlines():
        click.echo(f"  {line}".rstrip())


def enabled_text(one: Job) -> str:
    """Return whether its schedules start it: yes, no, or paused for now."""
    if one.enabled and one.pause is not None:
        return "paused"
    return "yes" if one.enabled else "no"


def pause_fields(one: Job) -> list[tuple[str, str]]:
    """Return the line that says what pauses a job, if something does."""
    pause = one.pause
    if pause is None:
        return []
    until = f" until {clock_text(pause.until)}" if pause.until else ""
    note = f": {pause.note}" if pause.note else ""
    return [("Paused", f"{pause.subject}{until} by {pause.who}{note}")]


def _waiting_fields(one: Job) -> list[tuple[str, str]]:
    names = [name for schedule in one.schedules for name in schedule.waits_for]
    return [("Waits For", ", ".join(names))] if names else []


def _label(label: tuple[str, Any]) -> str:
    key, value = label
    return f"{key}={value}" if value else key


def _say_changed(settings: Settings, verb: str, one: Job) -> None:
    path = f"{one.namespace}/{one.workspace}/{one.name}"
    print_record(
        settings, one, name=one.name, show=lambda: click.echo(f"{verb}   {path}")
    )


def ask(question: str) -> None:
    """Ask before something that cannot be undone."""
    if not sys.stdin.isatty():
        raise Failure(
            "there is nobody to ask", Exit.USAGE, "say -y to go on without asking"
        )
    click.confirm(question, abort=True, err=True)


def workspace_word(settings: Settings) -> str:
    """Return the workspace of a job as it is shown."""
    return settings.workspace or "_standalone_"
