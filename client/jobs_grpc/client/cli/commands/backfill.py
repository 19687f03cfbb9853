"""`backfill`: run a job for due times of the past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import (
    print_fields,
    print_page,
    print_record,
)
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.instants import instant
from jobs_grpc.client.cli.options import Group, Settings, page_options, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.backfill import Backfill, BackfillOrder
from jobs_grpc.client.records.page import Page

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.group(cls=Group)
def backfill() -> None:
    """Run a job for due times of the past."""


@backfill.command()
@click.argument("job")
@click.option("--schedule", default="", metavar="NAME", help="Only this schedule's.")
@click.option(
    "--from",
    "start",
    required=True,
    metavar="TIME",
    help="Due times from this instant on.",
)
@click.option(
    "--to", "end", required=True, metavar="TIME", help="Due times before this instant."
)
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@click.option(
    "--order",
    type=click.Choice(["oldest", "newest"]),
    default="oldest",
    show_default=True,
    help="Which due times come first.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="How many runs at a time.",
)
@click.option(
    "--priority",
    type=click.IntRange(1, 5),
    default=5,
    show_default=True,
    help="1 (highest) to 5.",
)
@pass_settings
def create(
    settings: Settings,
    job: str,
    schedule: str,
    start: str,
    end: str,
    dry_run: bool,
    order: str,
    parallel: int,
    priority: int,
) -> None:
    """Begin a backfill. Due times that were started before are left out."""
    begin, until = instant(start, "--from"), instant(end, "--to")
    assert begin is not None
    assert until is not None

    async def work(client: Client) -> Backfill:
        return await client.backfills.create(
            job,
            begin,
            until,
            schedule=schedule,
            order=BackfillOrder(order),
            parallel=parallel,
            priority=priority,
            dry_run=dry_run,
        )

    made = converse(settings, work, job=job)
    if dry_run:
        print_record(settings, made, name="-", show=lambda: _show_preview(made))
    else:
        _say(settings, "created", made)


@backfill.command("list")
@click.argument("job", required=False, default="")
@page_options()
@pass_settings
def list_backfills(settings: Settings, job: str, limit: int, page_token: str) -> None:
    """List backfills and how far they have come."""

    async def work(client: Client) -> Page[Backfill]:
        return await client.backfills.list(job, page_size=limit, page_token=page_token)

    page = converse(settings, work)
    print_page(
        settings,
        page,
        _columns(datetime.now(UTC)),
        name=lambda one: one.id,
        empty="there are no backfills",
    )


@backfill.command()
@click.argument("id_", metavar="ID")
@pass_settings
def get(settings: Settings, id_: str) -> None:
    """Show one backfill."""

    async def work(client: Client) -> Backfill:
        return await client.backfills.get(id_)

    found = converse(settings, work)
    print_record(settings, found, name=found.id, show=lambda: _show(found))


@backfill.command()
@click.argument("id_", metavar="ID")
@pass_settings
def pause(settings: Settings, id_: str) -> None:
    """Let a backfill start nothing more; what runs goes on."""

    async def work(client: Client) -> Backfill:
        return await client.backfills.pause(id_)

    _say(settings, "paused", converse(settings, work))


@backfill.command()
@click.argument("id_", metavar="ID")
@pass_settings
def resume(settings: Settings, id_: str) -> None:
    """Let a paused backfill go on."""

    async def work(client: Client) -> Backfill:
        return await client.backfills.resume(id_)

    _say(settings, "resumed", converse(settings, work))


@backfill.command()
@click.argument("id_", metavar="ID")
@pass_settings
def cancel(settings: Settings, id_: str) -> None:
    """End a backfill, with what it has waiting and running."""

    async def work(client: Client) -> Backfill:
        return await client.backfills.cancel(id_)

    _say(settings, "cancelled", converse(settings, work))


def _say(settings: Settings, verb: str, one: Backfill) -> None:
    def show() -> None:
        click.echo(f"{verb}   {one.id}   {one.job}   {_progress(one)} due times")

    print_record(settings, one, name=one.id, show=show)


def _progress(one: Backfill) -> str:
    return f"{one.started + one.left_out}/{one.total}"


def _columns(now: datetime) -> list[Column[Backfill]]:
    return [
        Column("ID", lambda one: one.id[:8], wide=lambda one: one.id),
        Column("JOB", lambda one: one.job),
        Column("WORKSPACE", lambda one: one.workspace, only_wide=True),
        Column("STATE", _state),
        Column("DONE", _progress),
        Column("SUCCEEDED", lambda one: str(one.succeeded)),
        Column("FAILED", lambda one: str(one.failed)),
        Column("FROM", lambda one: clock_text(one.start)),
        Column("TO", lambda one: clock_text(one.end)),
        Column(
            "CREATED",
            lambda one: relative_text(one.created_at, now),
            wide=lambda one: clock_text(one.created_at),
        ),
    ]


def _state(one: Backfill) -> str:
    return one.state.value if one.state else "-"


def _show_preview(one: Backfill) -> None:
    print_fields(
        [
            ("Job", one.job),
            ("Schedules", ", ".join(one.schedules)),
            ("From", clock_text(one.start)),
            ("To", clock_text(one.end)),
            ("Due Times", str(one.total)),
            ("Started Before", str(one.left_out)),
            ("Would Start", str(one.total - one.left_out)),
        ]
    )


def _show(one: Backfill) -> None:
    print_fields(
        [
            ("Backfill", one.id),
            ("Job", one.job),
            ("Workspace", one.workspace),
            ("Schedules", ", ".join(one.schedules)),
            ("State", _state(one)),
            ("Reason", one.reason or "-"),
            ("From", clock_text(one.start)),
            ("To", clock_text(one.end)),
            ("Order", one.order.value),
            ("Parallel", str(one.parallel)),
            ("Priority", str(one.priority)),
            ("Due Times", str(one.total)),
            ("Started", str(one.started)),
            ("Started Before", str(one.left_out)),
            ("Succeeded", str(one.succeeded)),
            ("Failed", str(one.failed)),
            ("Cancelled", str(one.cancelled)),
            ("Last Due", clock_text(one.cursor)),
            ("Requested By", one.requested_by or "-"),
            ("Created", clock_text(one.created_at)),
            ("Finished", clock_text(one.finished_at)),
        ]
    )
