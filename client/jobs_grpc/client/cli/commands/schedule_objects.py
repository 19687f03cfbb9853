"""`schedule create|get|list|update|delete|enable|disable`: schedules one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from jobs_grpc.client.cli.commands.job import ask, rule_text, workspace_word
from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import (
    print_done,
    print_fields,
    print_page,
    print_record,
)
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.instants import instant
from jobs_grpc.client.cli.options import Command, Settings, page_options, pass_settings
from jobs_grpc.client.cli.pairs import params
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.job import Schedule
from jobs_grpc.client.records.page import Page

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client

F = TypeVar("F", bound=Callable[..., Any])


def _entry_options(command: F) -> F:
    """Add what a schedule is made of."""
    for option in reversed(
        (
            click.option("--cron", metavar="EXPR", help="A cron expression."),
            click.option("--every", metavar="DURATION", help="An interval."),
            click.option(
                "--anchor", metavar="TIME", help="With --every: counted from."
            ),
            click.option("--at", metavar="TIME", help="One instant."),
            click.option("--tz", metavar="ZONE", help="The zone of the expression."),
            click.option("--dst", metavar="POLICY", help="When clocks change."),
            click.option(
                "-p",
                "--param",
                "params",
                multiple=True,
                metavar="KEY=VALUE",
                help="A parameter of its runs; KEY:=JSON for a value that is not text.",
            ),
            click.option(
                "--entry",
                metavar="JSON",
                help="Any keys of a job file's schedule, as a JSON object.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("job")
@click.argument("name")
@_entry_options
@pass_settings
def create(settings: Settings, /, job: str, name: str, **given: Any) -> None:
    """Add a schedule to a job, beside those of its document."""
    entry = _entry(given)

    async def work(client: Client) -> Schedule:
        return await client.schedules.create(job, name, entry)

    _say(settings, "created", converse(settings, work, job=job))


@click.command(cls=Command)
@click.argument("job")
@click.argument("name")
@_entry_options
@pass_settings
def update(settings: Settings, /, job: str, name: str, **given: Any) -> None:
    """Change a schedule: what is said is replaced, the rest stays.

    Only a schedule that `schedule create` made; others are changed in the job's document.
    A new rule never fires retroactively.
    """
    patch = _entry(given)
    if not patch:
        raise click.UsageError("nothing to change was said")

    async def work(client: Client) -> Schedule:
        return await client.schedules.update(job, name, patch)

    _say(settings, "updated", converse(settings, work, job=job))


@click.command("list", cls=Command)
@click.argument("job", required=False, default="")
@page_options(limit=100, summary="How many.")
@pass_settings
def list_schedules(settings: Settings, job: str, limit: int, page_token: str) -> None:
    """List the schedules of a job, or of all jobs."""

    async def work(client: Client) -> Page[Schedule]:
        return await client.schedules.list(job, page_size=limit, page_token=page_token)

    page = converse(settings, work, job=job)
    print_page(
        settings,
        page,
        _columns(datetime.now(UTC)),
        name=lambda one: one.name or one.id,
        empty="there are no schedules",
    )


@click.command(cls=Command)
@click.argument("job")
@click.argument("name")
@pass_settings
def get(settings: Settings, job: str, name: str) -> None:
    """Show one schedule; NAME may be its id."""

    async def work(client: Client) -> Schedule:
        return await client.schedules.get(job, name)

    found = converse(settings, work, job=job)
    print_record(
        settings, found, name=found.name or found.id, show=lambda: _show(found)
    )


@click.command(cls=Command)
@click.argument("job")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_settings
def delete(settings: Settings, job: str, name: str, yes: bool) -> None:
    """Remove a schedule that `schedule create` made. Its decisions stay."""
    if not yes:
        ask(f'delete the schedule "{name}" of job "{job}"?')

    async def work(client: Client) -> None:
        await client.schedules.delete(job, name)

    converse(settings, work, job=job)
    print_done(
        settings,
        {
            "namespace": settings.namespace,
            "workspace": workspace_word(settings),
            "job": job,
            "schedule": name,
            "outcome": "deleted",
        },
        name=name,
        text=f"deleted   {job}/{name}",
    )


@click.command(cls=Command)
@click.argument("job")
@click.argument("name")
@pass_settings
def enable(settings: Settings, job: str, name: str) -> None:
    """Let a schedule start its job again."""

    async def work(client: Client) -> Schedule:
        return await client.schedules.enable(job, name)

    _say(settings, "enabled", converse(settings, work, job=job))


@click.command(cls=Command)
@click.argument("job")
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="Why, for people.")
@click.option(
    "--until", metavar="TIME", help="It comes back by itself at this instant."
)
@pass_settings
def disable(
    settings: Settings, job: str, name: str, reason: str, until: str | None
) -> None:
    """Let a schedule start nothing. Applying the job's document does not undo it."""
    instant_ = instant(until, "--until")

    async def work(client: Client) -> Schedule:
        return await client.schedules.disable(job, name, reason=reason, until=instant_)

    _say(settings, "disabled", converse(settings, work, job=job))


COMMANDS: Final = (create, get, list_schedules, update, delete, enable, disable)


def _entry(given: dict[str, Any]) -> dict[str, Any]:
    """Return the entry that the options describe."""
    entry = _object(given["entry"])
    for option, key in (
        ("cron", "cron"),
        ("every", "every"),
        ("anchor", "anchor"),
        ("at", "at"),
        ("tz", "timezone"),
        ("dst", "dst"),
    ):
        if given[option] is not None:
            entry[key] = given[option]
    if given["params"]:
        before = entry.get("params") or {}
        if not isinstance(before, dict):
            raise _no_entry(f"--entry: params must be an object, got {before!r}")
        entry["params"] = {**before, **params(given["params"])}
    return entry


def _object(text: str | None) -> dict[str, Any]:
    """Return what `--entry` says."""
    if text is None:
        return {}
    try:
        entry = json.loads(text)
    except ValueError as error:
        raise _no_entry(f"--entry is not JSON: {error}") from None
    if not isinstance(entry, dict):
        raise _no_entry(f"--entry must be a JSON object, got {text}")
    return entry


def _no_entry(message: str) -> Failure:
    return Failure(
        message,
        Exit.USAGE,
        """an entry looks like '{"cron": "0 6 * * *", "max_runs": 10}'""",
    )


def _say(settings: Settings, verb: str, one: Schedule) -> None:
    def show() -> None:
        due = clock_text(one.next_due_at)
        click.echo(f"{verb}   {one.job}/{one.name or one.id}   next due {due}")

    print_record(settings, one, name=one.name or one.id, show=show)


def _columns(now: datetime) -> list[Column[Schedule]]:
    return [
        Column("JOB", lambda one: one.job),
        Column("WORKSPACE", lambda one: one.workspace, only_wide=True),
        Column("NAME", lambda one: one.name or one.id),
        Column("RULE", rule_text),
        Column("OWNER", lambda one: one.owner.value if one.owner else ""),
        Column("ENABLED", lambda one: "yes" if one.enabled else "no"),
        Column(
            "NEXT DUE",
            lambda one: relative_text(one.next_due_at, now),
            wide=lambda one: clock_text(one.next_due_at),
        ),
        Column("REASON", lambda one: one.disabled_reason),
    ]


def _show(one: Schedule) -> None:
    print_fields(
        [
            ("Schedule", one.name or "-"),
            ("Id", one.id),
            ("Job", one.job),
            ("Workspace", one.workspace),
            ("Rule", one.rule),
            ("Timezone", one.timezone),
            ("Params", ", ".join(f"{k}={v}" for k, v in one.params.items()) or "-"),
            ("Owner", one.owner.value if one.owner else "-"),
            ("Enabled", "yes" if one.enabled else "no"),
            ("Disabled Until", clock_text(one.disabled_until)),
            ("Disabled Reason", one.disabled_reason or "-"),
            ("Next Due", clock_text(one.next_due_at)),
            ("Revision", str(one.revision)),
            ("Updated", clock_text(one.updated_at)),
        ]
    )
